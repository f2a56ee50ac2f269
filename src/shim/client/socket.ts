import { open } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { basename, dirname } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { bounded, type Wait } from "./wait.ts";

/** Bytes of a path in sockaddr_un, without its closing zero (unix(7)). */
const maxSocketPathBytes = 107;

/**
 * Connects to a unix socket at a path of any length: `unavailable` where nothing listens or the file is absent.
 *
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 */
export async function connectSocket(path: string, wait: Wait): Promise<Socket> {
  if (Buffer.byteLength(path) <= maxSocketPathBytes) return await connectTo(path, path, wait);
  const folder = await open(dirname(path), "r").catch((thrown: unknown) => {
    throw new RuntimeError("unavailable", `connect ${path}: no such folder`, { cause: thrown });
  });
  try {
    return await connectTo(`/proc/self/fd/${folder.fd}/${basename(path)}`, path, wait);
  } finally {
    await folder.close();
  }
}

function connectTo(address: string, path: string, wait: Wait): Promise<Socket> {
  const socket = connect({ path: address });
  const settled = bounded<Socket>(
    `connect ${path}`,
    wait,
    ({ resolve, reject }) => {
      socket.once("connect", () => {
        resolve(socket);
      });
      socket.on("error", (thrown) => {
        reject(new RuntimeError("unavailable", `connect ${path}: ${reasonOf(thrown)}`, { cause: thrown }));
      });
    },
    () => socket.destroy(),
  );
  return settled.finally(() => socket.removeAllListeners());
}

function reasonOf(thrown: NodeJS.ErrnoException): string {
  if (thrown.code === "ENOENT") return "no such socket";
  if (thrown.code === "ECONNREFUSED") return "nothing listens there";
  return thrown.message.toLowerCase();
}
