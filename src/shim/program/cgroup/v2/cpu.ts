import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type ReadCurrent, type Setting, integerText, limitText, refuse } from "../setting.ts";
import { cpuWeightOfShares } from "../weights.ts";

/** @see https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files */
export function cpuV2(resources: SpecResources, read: ReadCurrent): Setting[] {
  const settings: Setting[] = [];
  const { cpu } = resources;
  if (cpu === undefined) return settings;
  const realtime = (cpu.realtimePeriod ?? 0) !== 0 || (cpu.realtimeRuntime ?? 0) !== 0;
  if (realtime) refuse("cpu.realtimeRuntime", "cgroup v2 has no real-time limit");
  if (cpu.idle !== undefined) {
    settings.push({ file: "cpu.idle", value: integerText(cpu.idle, "cpu.idle"), field: "cpu.idle" });
  }
  if (cpu.shares !== undefined && cpu.shares !== 0) {
    const value = integerText(cpuWeightOfShares(cpu.shares), "cpu.shares");
    settings.push({ file: "cpu.weight", value, field: "cpu.shares" });
  }
  const quota = cpu.quota ?? 0;
  const period = cpu.period ?? 0;
  if (quota !== 0 || period !== 0) {
    settings.push({ file: "cpu.max", value: bandwidth(quota, period, read), field: "cpu.quota" });
  }
  if (cpu.burst !== undefined) {
    settings.push({
      file: "cpu.max.burst",
      value: limitText(cpu.burst, "0", "cpu.burst"),
      field: "cpu.burst",
    });
  }
  return settings;
}

/** `cpu.max` is one file for both: a missing quota is kept from what it holds, a missing period by the kernel. */
function bandwidth(quota: number, period: number, read: ReadCurrent): string {
  const kept = read("cpu.max")?.split(" ")[0] ?? "max";
  const share = quota === 0 ? kept : limitText(quota, "max", "cpu.quota");
  return period === 0 ? share : `${share} ${integerText(period, "cpu.period")}`;
}
