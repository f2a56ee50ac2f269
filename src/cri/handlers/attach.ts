import { RuntimeError } from "../../core/errors.ts";
import type { Containers } from "../../sandbox/index.ts";
import { checkRunning, checkStreams, type StreamingServer } from "../streaming/index.ts";
import type { AttachRequest__Output } from "../types/runtime/v1/AttachRequest.ts";
import type { AttachResponse } from "../types/runtime/v1/AttachResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** A URL at which a client can join a container's streams, once and within a minute. */
export function attach(
  containers: Containers,
  streaming: StreamingServer,
): UnaryHandler<AttachRequest__Output, AttachResponse> {
  return (request) => {
    const { tty, stdin, stdout, stderr } = request;
    checkStreams(request);
    const container = containers.get(request.container_id);
    checkRunning(container);
    if (tty !== container.config.tty) {
      const has = container.config.tty ? "a terminal" : "no terminal";
      throw new RuntimeError("invalid-argument", `tty: ${tty}, but container ${container.id} has ${has}`);
    }
    return { url: streaming.attach({ containerId: container.id, tty, stdin, stdout, stderr }) };
  };
}
