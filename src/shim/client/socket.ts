import { connect, type Socket } from "node:net";
import { type ErrorCode, RuntimeError } from "../../core/errors.ts";
import { unixAddress, type UnixAddress } from "../../core/unix-address.ts";
import { bounded, type Wait } from "./wait.ts";

/** Pause before a socket whose queue of connections is full is tried again. */
const fullQueuePauseMs = 10;

/** What a failed open(2) or connect(2) says; any other number is `internal`. */
const codes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "unavailable",
  ECONNREFUSED: "unavailable",
  EMFILE: "resource-exhausted",
  ENFILE: "resource-exhausted",
  ENOMEM: "resource-exhausted",
  ENOBUFS: "resource-exhausted",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
};

/**
 * Connects to a unix socket at a path of any length. `unavailable` says that nothing listens there, and nothing else
 * does: whoever hears it takes the other side for dead. A queue of connections that is full is waited for.
 */
export async function connectSocket(path: string, wait: Wait): Promise<Socket> {
  using short = addressOf(path);
  return await connectTo(short.address, path, wait);
}

function addressOf(path: string): UnixAddress {
  try {
    return unixAddress(path);
  } catch (thrown) {
    throw failureOf(path, thrown as NodeJS.ErrnoException, "no such folder");
  }
}

async function connectTo(address: string, path: string, wait: Wait): Promise<Socket> {
  let socket: Socket | undefined;
  let retry: NodeJS.Timeout | undefined;
  const settled = bounded<Socket>(
    `connect ${path}`,
    wait,
    ({ resolve, reject }) => {
      const attempt = (): void => {
        const trying = connect({ path: address });
        socket = trying;
        trying.once("connect", () => {
          resolve(trying);
        });
        trying.on("error", (thrown: NodeJS.ErrnoException) => {
          if (thrown.code === "EAGAIN") retry = setTimeout(attempt, fullQueuePauseMs);
          else reject(failureOf(path, thrown, "no such socket"));
        });
      };
      attempt();
    },
    () => {
      clearTimeout(retry);
      socket?.destroy();
    },
  );
  const connected = await settled;
  connected.removeAllListeners();
  return connected;
}

function failureOf(path: string, thrown: NodeJS.ErrnoException, absent: string): RuntimeError {
  const reasons: Readonly<Record<string, string>> = { ENOENT: absent, ECONNREFUSED: "nothing listens there" };
  const { code: number = "" } = thrown;
  const reason = reasons[number] ?? thrown.message.toLowerCase();
  return new RuntimeError(codes[number] ?? "internal", `connect ${path}: ${reason}`, { cause: thrown });
}
