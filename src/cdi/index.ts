export { requestedDevices, type DeviceName } from "./names.ts";
export { DeviceSpecs } from "./device-specs.ts";
export { editSpec, hostPathsOf, type HostNode, type HostNodes } from "./apply.ts";
export type { Edits } from "./edits.ts";
