import type { Containers, Pods } from "../../sandbox/index.ts";
import type { CommandIo, StreamingBackend, TerminalSize } from "./backend.ts";

/** How long a descendant may hold the output open after an exec's command has ended. */
const drainMs = 1_000;

/** Reaches the daemon's own containers and pods. */
export function createSandboxBackend(containers: Containers, pods: Pods): StreamingBackend {
  return {
    exec: async (request, io) => {
      const session = await containers.exec(
        request.containerId,
        {
          args: request.cmd,
          tty: request.tty,
          stdin: io.stdin === undefined ? "closed" : "open",
          timeoutMs: 0,
          drainMs,
        },
        outputOf(io),
        io.signal,
      );
      const exit = await carry(session, io, () => undefined);
      return { exitCode: exit?.exitCode ?? 0 };
    },
    attach: async (request, io) => {
      const { config } = containers.get(request.containerId);
      const session = await containers.attach(request.containerId, request, outputOf(io), io.signal);
      // As with other runtimes, the end of the client's input ends its visit, unless it is the container's end too.
      const staysAfterInput = !config.stdin || (config.stdinOnce && !config.tty);
      await carry(
        session,
        io,
        staysAfterInput
          ? () => undefined
          : (leave) => {
              leave();
            },
      );
    },
    portForward: (podId, port, signal) => pods.connect(podId, port, signal),
  };
}

function outputOf(io: CommandIo) {
  return { onStdout: io.stdout, onStderr: io.stderr };
}

/** What exec and attach have in common. */
interface Session<Exit> {
  readonly exit: Promise<Exit>;
  writeStdin(bytes: Uint8Array): Promise<void>;
  closeStdin(): Promise<void>;
  resize(rows: number, cols: number): Promise<void>;
  close(): void;
}

/**
 * Joins a session and a client until the session's end, or until `afterInput`, called when the client's input has
 * ended, leaves. A client that is gone takes the session with it.
 */
async function carry<Exit>(
  session: Session<Exit>,
  io: CommandIo,
  afterInput: (leave: () => void) => void,
): Promise<Exit | undefined> {
  const left = Promise.withResolvers<undefined>();
  const cut = (): void => {
    session.close();
  };
  io.signal.addEventListener("abort", cut, { once: true });
  if (io.signal.aborted) cut();
  try {
    io.onResize(resizer(session));
    if (io.stdin !== undefined) {
      void sendInput(io.stdin, session).then(() => {
        afterInput(() => {
          left.resolve(undefined);
        });
      });
    }
    return await Promise.race([session.exit, left.promise]);
  } finally {
    io.signal.removeEventListener("abort", cut);
    session.close();
  }
}

async function sendInput<Exit>(stdin: AsyncIterable<Buffer>, session: Session<Exit>): Promise<void> {
  try {
    for await (const bytes of stdin) await session.writeStdin(bytes);
    await session.closeStdin();
  } catch {
    // The session is over: what the client still types has no reader, and the session tells how it ended.
  }
}

/** Sets one size after the other; of those that come meanwhile only the last counts. */
function resizer<Exit>(session: Session<Exit>): (size: TerminalSize) => void {
  let wanted: TerminalSize | undefined;
  let isBusy = false;
  const work = async (): Promise<void> => {
    isBusy = true;
    try {
      for (let size = wanted; size !== undefined; size = wanted) {
        wanted = undefined;
        await session.resize(size.rows, size.cols);
      }
    } catch {
      // A terminal that is gone has no size; its end is told elsewhere.
    } finally {
      isBusy = false;
    }
  };
  return (size) => {
    // Clients without a terminal of their own say 0 by 0.
    if (size.rows === 0 || size.cols === 0) return;
    wanted = size;
    if (!isBusy) void work();
  };
}
