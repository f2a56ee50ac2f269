export * from "./constants.ts";
export { architectureOf, type Architecture } from "./architecture.ts";
export { isErrno, SysError } from "./error.ts";
export {
  libc,
  SharedLibrary,
  type CallResult,
  type CFunction,
  type ParameterKind,
  type Pointer,
  type ResultKind,
} from "./ffi.ts";
export { isAtLeast, kernelVersion, parseKernelRelease, type KernelVersion } from "./kernel.ts";
export { capget, readBoundingSet, type CapabilitySets } from "./capability.ts";
export { clockGettime } from "./clock-gettime.ts";
export { geteuid, kill, pidfdOpen, pidfdSendSignal, umask } from "./process.ts";
export { openNamespace, setns, withNetns } from "./setns.ts";
export { mount, umount2 } from "./mount.ts";
export { statfs, type FileSystem } from "./statfs.ts";
export { flock } from "./flock.ts";
export { schedSetNice } from "./sched-setattr.ts";
export { bind, recv, sendto, sendtoInThread, setsockopt, sockaddrNl, sockaddrUn, socket } from "./socket.ts";
export { connect, isWritable, pendingError, sockaddrIn, sockaddrIn6, type Connecting } from "./connect.ts";
export { sdNotify } from "./sd-notify.ts";
export { acceptsMountOption, hasSystemCall, probedCalls, type ProbedCall } from "./probe.ts";
export {
  createSeccompCompiler,
  openLibseccomp,
  type SeccompCompiler,
  type SeccompFilter,
} from "./seccomp.ts";
export { tryOverlay, type OverlayFolders } from "./overlay.ts";
export { tryTreeAttributes, type TreeAttributes } from "./mount-tree.ts";
