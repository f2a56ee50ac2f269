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
