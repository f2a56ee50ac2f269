import type { SpecResources } from "../../../../core/oci-runtime-spec.ts";
import { type DeviceException, accessBits, devicePolicy } from "../devices.ts";
import type { Setting } from "../setting.ts";

/** Sets the default first, then every exception. @see https://docs.kernel.org/admin-guide/cgroup-v1/devices.html */
export function devicesV1(resources: SpecResources): Setting[] {
  if (resources.devices === undefined || resources.devices.length === 0) return [];
  const { allowByDefault, exceptions } = devicePolicy(resources.devices);
  const general = allowByDefault ? "devices.allow" : "devices.deny";
  const exceptional = allowByDefault ? "devices.deny" : "devices.allow";
  const settings: Setting[] = [{ file: general, value: "a", field: "devices" }];
  for (const exception of exceptions) {
    settings.push({ file: exceptional, value: exceptionText(exception), field: "devices" });
  }
  return settings;
}

function exceptionText({ type, major, minor, access }: DeviceException): string {
  let letters = "";
  if ((access & accessBits.read) !== 0) letters = `${letters}r`;
  if ((access & accessBits.write) !== 0) letters = `${letters}w`;
  if ((access & accessBits.mknod) !== 0) letters = `${letters}m`;
  return `${type} ${major ?? "*"}:${minor ?? "*"} ${letters}`;
}
