import { once } from "node:events";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { RuntimeError } from "../core/errors.ts";
import type { ExecExit__Output } from "../cri/types/berth/v1/ExecExit.ts";
import type { ExecFrame, ExecFrame__Output } from "../cri/types/berth/v1/ExecFrame.ts";
import type { Context } from "./command.ts";
import { enterRawMode, onResize, sizeOf, write, type Terminal } from "./terminal.ts";

type ExecCall = ClientDuplexStream<ExecFrame, ExecFrame__Output>;

/** What to run and how. */
export interface ExecRequest {
  readonly container_id: string;
  readonly cmd: string[];
  readonly tty: boolean;
  readonly stdin: boolean;
}

/** Runs a command in a container with this terminal's streams; answers with its exit code. */
export async function execute(context: Context, request: ExecRequest): Promise<number> {
  const { client, terminal, signal } = context;
  using stack = new DisposableStack();
  const call = client.containerExec(signal);
  stack.defer(() => {
    call.cancel();
  });
  const failed = new Promise<never>((_resolve, reject) => {
    call.on("error", (error) => void client.explain(error).then(reject));
  });
  failed.catch(() => undefined);

  const { rows = 0, cols = 0 } = request.tty ? (sizeOf(terminal.stdout) ?? {}) : {};
  call.write({ start: { ...request, rows, cols } });
  if (request.tty) {
    // Ctrl-C and the like are for the program in the container, which has a terminal to make signals of them.
    if (request.stdin) {
      const raw = enterRawMode(terminal.stdin);
      if (raw !== undefined) stack.use(raw);
    }
    stack.use(onResize(terminal.stdout, (resize) => call.write({ resize })));
  }
  if (request.stdin) {
    forwardInput(call, terminal.stdin).catch(() => undefined);
    stack.defer(() => {
      terminal.stdin.destroy();
    });
  }
  const exit = await Promise.race([receive(call, terminal), failed]);
  if (exit.message !== "") terminal.stderr.write(`berth: ${exit.message}\n`);
  return exit.code;
}

/** Ends with the end of input, which the command then sees too; the call's own end is noticed elsewhere. */
async function forwardInput(call: ExecCall, stdin: NodeJS.ReadableStream): Promise<void> {
  for await (const bytes of stdin) {
    if (!call.write({ stdin: bytes })) await once(call, "drain");
  }
  call.write({ stdin_closed: true });
}

async function receive(call: ExecCall, { stdout, stderr }: Terminal): Promise<ExecExit__Output> {
  try {
    for await (const message of call) {
      const frame = message as ExecFrame__Output;
      if (frame.frame === "stdout" && frame.stdout !== undefined) await write(stdout, frame.stdout);
      if (frame.frame === "stderr" && frame.stderr !== undefined) await write(stderr, frame.stderr);
      if (frame.frame === "exit" && frame.exit) return frame.exit;
    }
  } catch {
    // The error event says what happened; whoever waits for `failed` has it.
    return new Promise<never>(() => undefined);
  }
  throw new RuntimeError("internal", "the daemon ended the call without saying how the command ended");
}
