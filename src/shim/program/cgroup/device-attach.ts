import {
  attachDeviceProgram,
  attachedDevicePrograms,
  detachDeviceProgram,
  loadDeviceProgram,
} from "../ffi/bpf.ts";
import { O } from "../ffi/constants.ts";
import { close, open } from "../ffi/files.ts";
import { deviceProgram, encodeProgram } from "./device-program.ts";
import type { DevicePolicy } from "./devices.ts";

/**
 * Guards the devices of a v2 cgroup: attaches the policy's program and then takes off those that were attached before,
 * so that there is no moment without one.
 */
export function attachDevicePolicy(folder: string, policy: DevicePolicy): void {
  const cgroup = open(folder, O.RDONLY | O.DIRECTORY);
  const [ok, problem] = pcall(() => {
    const earlier = attachedDevicePrograms(cgroup);
    const program = loadDeviceProgram(encodeProgram(deviceProgram(policy)));
    attachDeviceProgram(cgroup, program);
    close(program);
    for (const one of earlier) {
      detachDeviceProgram(cgroup, one);
      close(one);
    }
  });
  close(cgroup);
  if (!ok) throw problem;
}
