export { loadServices } from "./definition.ts";
export type { RuntimeHealth } from "./runtime-health.ts";
export { refuseLiveSocket, serve, type RunningServer, type ServerOptions } from "./server.ts";
export { createServices, type ServicesDeps } from "./services.ts";
export { createSandboxBackend, defaultStreamingOptions, startStreamingServer } from "./streaming/index.ts";
