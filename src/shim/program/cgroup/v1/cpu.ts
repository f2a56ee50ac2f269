import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type Setting, integerText, limitText, pushNumber } from "../setting.ts";

/** @see https://docs.kernel.org/scheduler/sched-bwc.html */
export function cpuV1(resources: SpecResources): Setting[] {
  const settings: Setting[] = [];
  const { cpu } = resources;
  if (cpu === undefined) return settings;
  pushNumber(settings, "cpu.shares", cpu.shares, "cpu.shares");
  pushNumber(settings, "cpu.cfs_period_us", cpu.period, "cpu.period");
  pushNumber(settings, "cpu.cfs_quota_us", cpu.quota, "cpu.quota");
  if (cpu.burst !== undefined) {
    settings.push({
      file: "cpu.cfs_burst_us",
      value: limitText(cpu.burst, "0", "cpu.burst"),
      field: "cpu.burst",
    });
  }
  pushNumber(settings, "cpu.rt_period_us", cpu.realtimePeriod, "cpu.realtimePeriod");
  pushNumber(settings, "cpu.rt_runtime_us", cpu.realtimeRuntime, "cpu.realtimeRuntime");
  if (cpu.idle !== undefined) {
    settings.push({ file: "cpu.idle", value: integerText(cpu.idle, "cpu.idle"), field: "cpu.idle" });
  }
  return settings;
}
