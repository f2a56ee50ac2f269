import { RuntimeError } from "../../core/errors.ts";
import { maxCommandBytes } from "./limits.ts";
import { maxPorts } from "./websocket/forward.ts";

/** Refuses, with `invalid-argument`, what no client could be served: no stream at all, or stderr beside a terminal. */
export function checkStreams(request: {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}): void {
  if (request.tty && request.stderr) {
    throw new RuntimeError("invalid-argument", "tty and stderr: a terminal has one output, stdout");
  }
  if (!request.stdin && !request.stdout && !request.stderr) {
    throw new RuntimeError("invalid-argument", "stdin, stdout, stderr: at least one is needed");
  }
}

/** Refuses, with `invalid-argument`, an empty command, and one that is too long to be kept until its client comes. */
export function checkCommand(cmd: readonly string[]): void {
  if (cmd.length === 0) throw new RuntimeError("invalid-argument", "cmd: empty");
  const bytes = cmd.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (bytes > maxCommandBytes) {
    throw new RuntimeError(
      "invalid-argument",
      `cmd: ${bytes} bytes are over the limit of ${maxCommandBytes} bytes`,
    );
  }
}

/** Refuses, with `invalid-argument`, what is no TCP port, and more ports than one connection carries. */
export function checkPorts(ports: readonly number[]): void {
  for (const port of ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      throw new RuntimeError("invalid-argument", `port: ${port} is not between 1 and 65535`);
    }
  }
  if (ports.length > maxPorts) {
    throw new RuntimeError(
      "invalid-argument",
      `port: ${ports.length} ports are over the limit of ${maxPorts}`,
    );
  }
}

/** Refuses, with `failed-precondition`, a container that does not run. */
export function checkRunning(container: {
  readonly id: string;
  readonly state: { readonly state: string };
}): void {
  const { state } = container.state;
  if (state !== "running") {
    throw new RuntimeError("failed-precondition", `container ${container.id} is ${state}, not running`);
  }
}
