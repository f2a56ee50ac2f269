import type { Containers } from "../../sandbox/index.ts";
import { checkCommand, checkRunning, checkStreams, type StreamingServer } from "../streaming/index.ts";
import type { ExecRequest__Output } from "../types/runtime/v1/ExecRequest.ts";
import type { ExecResponse } from "../types/runtime/v1/ExecResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** A URL at which a client can run a command in a container, once and within a minute. */
export function exec(
  containers: Containers,
  streaming: StreamingServer,
): UnaryHandler<ExecRequest__Output, ExecResponse> {
  return (request) => {
    const { cmd, tty, stdin, stdout, stderr } = request;
    checkStreams(request);
    checkCommand(cmd);
    const container = containers.get(request.container_id);
    checkRunning(container);
    return { url: streaming.exec({ containerId: container.id, cmd, tty, stdin, stdout, stderr }) };
  };
}
