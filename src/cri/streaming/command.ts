import { asRuntimeError } from "../../core/errors.ts";
import type { AttachRequest, CommandIo, ExecRequest, StreamingBackend, TerminalSize } from "./backend.ts";
import type { Outcome } from "./outcome.ts";
import { decodeTerminalSizes } from "./terminal-sizes.ts";

/** What a token for an exec or an attach stands for. */
export type CommandRequest =
  | { readonly kind: "exec"; readonly exec: ExecRequest }
  | { readonly kind: "attach"; readonly attach: AttachRequest };

/** A client's connection with all its streams there, of whichever wire protocol. */
export interface CommandChannels {
  readonly stdin: AsyncIterable<Buffer> | undefined;
  readonly stdout: (bytes: Buffer) => Promise<void>;
  readonly stderr: (bytes: Buffer) => Promise<void>;
  /** JSON messages with the terminal's size; absent where the protocol or the request has none. */
  readonly resizes: AsyncIterable<Buffer> | undefined;
  /** Aborts when the client is gone. */
  readonly signal: AbortSignal;
}

/** Runs the request on the client's streams and says how it ended; never throws. */
export async function runCommand(
  request: CommandRequest,
  channels: CommandChannels,
  backend: StreamingBackend,
): Promise<Outcome> {
  const io: CommandIo = {
    stdin: channels.stdin,
    stdout: channels.stdout,
    stderr: channels.stderr,
    onResize: relayResizes(channels.resizes),
    signal: channels.signal,
  };
  try {
    if (request.kind === "attach") {
      await backend.attach(request.attach, io);
      return { kind: "success" };
    }
    const { exitCode } = await backend.exec(request.exec, io);
    return exitCode === 0 ? { kind: "success" } : { kind: "exited", exitCode };
  } catch (thrown) {
    if (channels.signal.aborted) return { kind: "failed", message: "the client left" };
    return { kind: "failed", message: `${failing[request.kind]}: ${asRuntimeError(thrown).message}` };
  }
}

const failing = {
  exec: "error executing command in container",
  attach: "error attaching to container",
} as const;

/** The streams that a request names. */
export function streamsOf(request: CommandRequest): ExecRequest | AttachRequest {
  return request.kind === "exec" ? request.exec : request.attach;
}

/** Sizes arrive whether or not somebody listens yet: the last one is kept for the listener to come. */
function relayResizes(source: AsyncIterable<Buffer> | undefined): CommandIo["onResize"] {
  let latest: TerminalSize | undefined;
  let listener: ((size: TerminalSize) => void) | undefined;
  const relay = async (sizes: AsyncIterable<TerminalSize>): Promise<void> => {
    for await (const size of sizes) {
      latest = size;
      listener?.(size);
    }
  };
  if (source !== undefined) void relay(decodeTerminalSizes(source));
  return (added) => {
    listener = added;
    if (latest !== undefined) added(latest);
  };
}
