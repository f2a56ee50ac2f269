import type { Pressures } from "../numbers.ts";
import { counter, type MetricDefinition } from "./definition.ts";

const microsecondsPerSecond = 1_000_000n;

/** cAdvisor calls `some` waiting and `full` stalled. */
function pressure(resource: keyof Pressures): readonly MetricDefinition[] {
  const total = (name: string, help: string, line: "some" | "full"): MetricDefinition =>
    counter(`container_pressure_${resource}_${name}_seconds_total`, help, ({ usage }) => {
      const stalled = usage?.pressure[resource]?.[line]?.totalMicroseconds;
      return stalled === undefined ? undefined : stalled / microsecondsPerSecond;
    });
  return [
    total("waiting", `Time in which a task waited for ${resource}, in seconds.`, "some"),
    total("stalled", `Time in which all tasks waited for ${resource}, in seconds.`, "full"),
  ];
}

/** Time lost waiting, by resource. */
export const pressureMetrics: readonly MetricDefinition[] = [
  ...pressure("cpu"),
  ...pressure("memory"),
  ...pressure("io"),
];
