export {
  buildContainerSpec,
  imageVolumePaths,
  type ContainerSpecInput,
  type HostFacts,
} from "./container-spec.ts";
export { buildExecProcess, type ExecProcessRequest } from "./exec-process.ts";
export { parseImageUser, resolveUser, type ImageUser, type ResolvedUser, type UserRequest } from "./user.ts";
export { effectiveStopSignal, signalNumber } from "./signals.ts";
export { checkSysctls, podSysctls } from "./sysctls.ts";
export { checkHostname } from "./hostname.ts";
export { specResources, type CgroupFacts } from "./resources.ts";
export { capabilityNames } from "./capabilities.ts";
export { cleanContainerPath, imageMountSource, type PodFiles } from "./mounts.ts";
export { specIdMappings, type PodPins } from "./namespaces.ts";
export { type DeviceNode, type FoundDevice } from "./devices.ts";
export { type LsmFacts } from "./lsm.ts";
export * from "./seccomp/index.ts";
