import type { RuntimeError } from "../../core/errors.ts";
import { execSocketSuffix } from "../protocol/launch.ts";
import type { ExecRequest, ShimEvent } from "../protocol/messages.ts";
import { Channel } from "./channel.ts";
import type { Identity } from "./identity.ts";
import { type OutputHandlers, dispatchOutput } from "./output.ts";
import { execStartedOf } from "./replies.ts";
import { StdioSession } from "./stdio-session.ts";
import type { Wait } from "./wait.ts";

/** The process to add to a container. */
export type ExecCommand = Omit<ExecRequest, "type" | "seq">;

/** How an added process ended. */
export interface ExecExit {
  /** Exit status, or 128 + signal. */
  readonly exitCode: number;
  /** 0 where it was not a signal. */
  readonly signal: number;
  /** It outlived {@link ExecRequest.timeoutMs} and was killed. */
  readonly timedOut: boolean;
}

/** A process that was added to a container. */
export class ExecSession extends StdioSession {
  /** Process id on the host. */
  readonly pid: number;
  /** Resolves after the last output was handled; rejects with `unavailable` when the connection is cut before. */
  readonly exit: Promise<ExecExit>;

  private constructor(channel: Channel, pid: number, exit: Promise<ExecExit>) {
    super(channel);
    this.pid = pid;
    this.exit = exit;
  }

  /** Opens a connection to the shim and starts the process: when this returns, execve has succeeded. */
  static async begin(
    socket: string,
    identity: Identity,
    command: ExecCommand,
    handlers: OutputHandlers,
    wait: Wait,
  ): Promise<ExecSession> {
    const exit = Promise.withResolvers<ExecExit>();
    exit.promise.catch(() => undefined);
    const { channel } = await Channel.open(
      socket + execSocketSuffix,
      identity,
      listenerFor(handlers, exit.resolve),
      wait,
    );
    void channel.closed.then((reason: RuntimeError) => {
      exit.reject(reason);
    });
    void exit.promise.then(
      () => {
        channel.close();
      },
      () => undefined,
    );
    try {
      const { pid } = await channel.request({ type: "exec", ...command }, execStartedOf, wait);
      return new ExecSession(channel, pid, exit.promise);
    } catch (thrown) {
      channel.close();
      throw thrown;
    }
  }
}

function listenerFor(
  handlers: OutputHandlers,
  exited: (exit: ExecExit) => void,
): { onEvent: (event: ShimEvent) => void; onOutput: (kind: number, bytes: Buffer) => void | Promise<void> } {
  return {
    onEvent: (event) => {
      if (event.event !== "exec-exit") return;
      const { exitCode, signal, timedOut } = event;
      exited({ exitCode, signal, timedOut });
    },
    onOutput: (kind, bytes) => dispatchOutput(handlers, kind, bytes),
  };
}
