/** The daemon's side of launcher and shims: no FFI, only unix sockets, frames and JSON. */
export { Launcher } from "./launcher.ts";
export type { LauncherOptions } from "./launcher.ts";
export { ShimConnection } from "./shim-connection.ts";
export type { CreateOptions, ExitListener } from "./shim-connection.ts";
export type { ExecCommand, ExecExit, ExecSession } from "./exec.ts";
export type { AttachSession, AttachStreams } from "./attach.ts";
export type { OutputHandler, OutputHandlers } from "./output.ts";
export { readExitRecord } from "./exit-record.ts";
export { readIdentity } from "./identity.ts";
export type { Identity } from "./identity.ts";
export { defaultTimeoutMs } from "./wait.ts";
export type { Wait } from "./wait.ts";
