import type { SpecResources, SpecThrottleDevice } from "../../../../core/oci-runtime-spec.ts";
import { type ReadCurrent, type Setting, integerText, refuse } from "../setting.ts";
import { ioWeightOfBlkio } from "../weights.ts";

/**
 * A weight goes to the BFQ scheduler where the kernel has it (same range as v1), else to `io.weight`.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files
 */
export function ioV2(resources: SpecResources, read: ReadCurrent): Setting[] {
  const settings: Setting[] = [];
  const io = resources.blockIO;
  if (io === undefined) return settings;
  if ((io.leafWeight ?? 0) !== 0) refuse("blockIO.leafWeight", "cgroup v2 has no such setting");
  const bfq = read("io.bfq.weight") !== undefined;
  if ((io.weight ?? 0) !== 0) pushWeight(settings, bfq, "default", io.weight, "blockIO.weight");
  for (const { major, minor, weight, leafWeight } of io.weightDevice ?? []) {
    if ((leafWeight ?? 0) !== 0) refuse("blockIO.weightDevice", "cgroup v2 has no leaf weight");
    pushWeight(settings, bfq, `${major}:${minor}`, weight, "blockIO.weightDevice");
  }
  pushMax(settings, "rbps", io.throttleReadBpsDevice, "blockIO.throttleReadBpsDevice");
  pushMax(settings, "wbps", io.throttleWriteBpsDevice, "blockIO.throttleWriteBpsDevice");
  pushMax(settings, "riops", io.throttleReadIOPSDevice, "blockIO.throttleReadIOPSDevice");
  pushMax(settings, "wiops", io.throttleWriteIOPSDevice, "blockIO.throttleWriteIOPSDevice");
  return settings;
}

function pushWeight(
  settings: Setting[],
  bfq: boolean,
  target: string,
  weight: number | undefined,
  field: string,
): void {
  if (weight === undefined) return;
  const file = bfq ? "io.bfq.weight" : "io.weight";
  const value = integerText(bfq ? weight : ioWeightOfBlkio(weight), field);
  settings.push({ file, value: `${target} ${value}`, field });
}

function pushMax(
  settings: Setting[],
  key: string,
  devices: readonly SpecThrottleDevice[] | undefined,
  field: string,
): void {
  for (const { major, minor, rate } of devices ?? []) {
    settings.push({ file: "io.max", value: `${major}:${minor} ${key}=${integerText(rate, field)}`, field });
  }
}
