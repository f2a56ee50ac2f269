export type {
  AttachRequest,
  CommandIo,
  ExecRequest,
  PortForwardRequest,
  StreamingBackend,
  TerminalSize,
} from "./backend.ts";
export {
  defaultStreamingOptions,
  startStreamingServer,
  type StreamingOptions,
  type StreamingServer,
} from "./server.ts";
export { createSandboxBackend } from "./sandbox-backend.ts";
export { checkCommand, checkPorts, checkRunning, checkStreams } from "./validate.ts";
