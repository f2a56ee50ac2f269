import { connect, type Socket } from "node:net";
import { RuntimeError } from "../../core/errors.ts";
import { unixAddress, type UnixAddress } from "../../core/unix-address.ts";
import { bounded, type Wait } from "./wait.ts";

/** Connects to a unix socket at a path of any length: `unavailable` where nothing listens or the file is absent. */
export async function connectSocket(path: string, wait: Wait): Promise<Socket> {
  using short = addressOf(path);
  return await connectTo(short.address, path, wait);
}

function addressOf(path: string): UnixAddress {
  try {
    return unixAddress(path);
  } catch (thrown) {
    throw new RuntimeError("unavailable", `connect ${path}: no such folder`, { cause: thrown });
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
