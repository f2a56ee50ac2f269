import { once } from "node:events";
import type { ServerDuplexStream, ServiceError } from "@grpc/grpc-js";
import { asRuntimeError, RuntimeError } from "../../core/errors.ts";
import type { Containers } from "../../sandbox/index.ts";
import { serviceError } from "../errors.ts";
import type { ExecFrame, ExecFrame__Output } from "../types/berth/v1/ExecFrame.ts";
import { callSignal } from "../unary.ts";

type ExecCall = ServerDuplexStream<ExecFrame__Output, ExecFrame>;

/** How long a descendant may hold the output open after the command has ended. */
const drainMs = 1_000;

/** Runs a command in a container with its streams on this call; a call that ends early kills the command. */
export function containerExec(containers: Containers) {
  return (call: ExecCall): void => {
    run(containers, call).then(
      () => {
        call.end();
      },
      (thrown: unknown) => {
        call.emit("error", serviceError(thrown) as ServiceError);
      },
    );
  };
}

async function run(containers: Containers, call: ExecCall): Promise<void> {
  const signal = callSignal(call);
  const frames = (call as AsyncIterable<ExecFrame__Output>)[Symbol.asyncIterator]();
  const first = await frames.next();
  const start = first.done === true ? null : first.value.start;
  if (start === null || start === undefined)
    throw new RuntimeError("invalid-argument", "the first frame is not start");
  const send = async (frame: ExecFrame): Promise<void> => {
    if (!call.write(frame)) await once(call, "drain", { signal });
  };
  const session = await containers.exec(
    start.container_id,
    { args: start.cmd, tty: start.tty, stdin: start.stdin ? "open" : "closed", timeoutMs: 0, drainMs },
    {
      onStdout: (bytes) => send({ stdout: Buffer.from(bytes) }),
      onStderr: (bytes) => send({ stderr: Buffer.from(bytes) }),
    },
    signal,
  );
  const leave = (): void => {
    session.close();
  };
  signal.addEventListener("abort", leave, { once: true });
  try {
    if (start.tty && start.rows > 0 && start.cols > 0) await session.resize(start.rows, start.cols);
    const input = forwardInput(frames, session);
    const exit = await Promise.race([session.exit, input.then(() => session.exit)]);
    await send({ exit: { code: exit.exitCode, message: "" } });
  } finally {
    signal.removeEventListener("abort", leave);
    session.close();
  }
}

type Session = Awaited<ReturnType<Containers["exec"]>>;

async function forwardInput(frames: AsyncIterator<ExecFrame__Output>, session: Session): Promise<void> {
  try {
    for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
      const { stdin, stdin_closed, resize } = next.value;
      if (stdin !== undefined && stdin.length > 0) await session.writeStdin(stdin);
      if (stdin_closed === true) await session.closeStdin();
      if (resize !== null && resize !== undefined) await session.resize(resize.rows, resize.cols);
    }
  } catch (thrown) {
    // Input that cannot be delivered because the command has ended is the ordinary case.
    if (asRuntimeError(thrown).code === "invalid-argument") throw thrown;
  }
}
