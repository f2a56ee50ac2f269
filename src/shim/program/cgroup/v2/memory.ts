import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { failure } from "../../failure.ts";
import { type ReadCurrent, type Setting, integerText, limitText, pushNumber, refuse } from "../setting.ts";
import { checkUsage } from "../usage.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files */
export function memoryV2(resources: SpecResources, read: ReadCurrent): Setting[] {
  const settings: Setting[] = [];
  const { memory } = resources;
  if (memory === undefined) return settings;
  refuseV1Only(memory);
  if (memory.checkBeforeUpdate === true) checkUsage(memory.limit, read("memory.current"));
  pushNumber(settings, "memory.max", memory.limit, "memory.limit", "max");
  if (memory.swap !== undefined && memory.swap !== 0) {
    const value = swapOnly(memory.swap, memory.limit ?? 0, read);
    settings.push({ file: "memory.swap.max", value, field: "memory.swap", lenient: true });
  }
  pushNumber(settings, "memory.low", memory.reservation, "memory.reservation", "max");
  return settings;
}

type Memory = NonNullable<SpecResources["memory"]>;

function refuseV1Only(memory: Memory): void {
  const why = "cgroup v2 has no such setting";
  if ((memory.kernel ?? 0) !== 0) refuse("memory.kernel", why);
  if ((memory.kernelTCP ?? 0) !== 0) refuse("memory.kernelTCP", why);
  if (memory.swappiness !== undefined) refuse("memory.swappiness", why);
  if (memory.disableOOMKiller === true) refuse("memory.disableOOMKiller", why);
  if (memory.useHierarchy === false) refuse("memory.useHierarchy", "cgroup v2 is always hierarchical");
}

/** The spec's `swap` is memory and swap together, `memory.swap.max` is swap alone. */
function swapOnly(both: number, limit: number, read: ReadCurrent): string {
  if (limitText(both, "max", "memory.swap") === "max") return "max";
  const memory = limit === 0 ? currentLimit(read) : limit;
  if (memory < 0) {
    throw failure("invalid-argument", "linux.resources.memory.swap: a limit on swap needs one on memory");
  }
  if (both < memory) {
    throw failure(
      "invalid-argument",
      "linux.resources.memory.swap: is below memory.limit, which it includes",
    );
  }
  return integerText(both - memory, "memory.swap");
}

/** -1 where there is none. */
function currentLimit(read: ReadCurrent): number {
  const text = read("memory.max");
  return text === undefined || text === "max" ? -1 : Number(text);
}
