import type { SpecResources, SpecThrottleDevice } from "../../../../core/oci-runtime-spec.ts";
import { type ReadCurrent, type Setting, integerText, pushNumber } from "../setting.ts";

/**
 * With the BFQ scheduler the weight's files carry its name, with the older CFQ they did not.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html
 */
export function blkioV1(resources: SpecResources, read: ReadCurrent): Setting[] {
  const settings: Setting[] = [];
  const io = resources.blockIO;
  if (io === undefined) return settings;
  const prefix = read("blkio.weight") === undefined ? "blkio.bfq" : "blkio";
  pushNumber(settings, `${prefix}.weight`, io.weight, "blockIO.weight");
  pushNumber(settings, "blkio.leaf_weight", io.leafWeight, "blockIO.leafWeight");
  for (const { major, minor, weight, leafWeight } of io.weightDevice ?? []) {
    const device = `${major}:${minor}`;
    pushDevice(settings, `${prefix}.weight_device`, device, weight, "blockIO.weightDevice");
    pushDevice(settings, "blkio.leaf_weight_device", device, leafWeight, "blockIO.weightDevice");
  }
  pushThrottle(settings, "read_bps", io.throttleReadBpsDevice, "blockIO.throttleReadBpsDevice");
  pushThrottle(settings, "write_bps", io.throttleWriteBpsDevice, "blockIO.throttleWriteBpsDevice");
  pushThrottle(settings, "read_iops", io.throttleReadIOPSDevice, "blockIO.throttleReadIOPSDevice");
  pushThrottle(settings, "write_iops", io.throttleWriteIOPSDevice, "blockIO.throttleWriteIOPSDevice");
  return settings;
}

function pushThrottle(
  settings: Setting[],
  kind: string,
  devices: readonly SpecThrottleDevice[] | undefined,
  field: string,
): void {
  for (const { major, minor, rate } of devices ?? []) {
    const value = `${major}:${minor} ${integerText(rate, field)}`;
    settings.push({ file: `blkio.throttle.${kind}_device`, value, field });
  }
}

function pushDevice(
  settings: Setting[],
  file: string,
  device: string,
  value: number | undefined,
  field: string,
): void {
  if (value !== undefined) settings.push({ file, value: `${device} ${integerText(value, field)}`, field });
}
