import { closeSync, openSync } from "node:fs";
import { basename, dirname } from "node:path";

/** Bytes of a path in sockaddr_un, without its closing zero (unix(7)). */
const maxSocketPathBytes = 107;

/** What to give to bind(2) or connect(2) for a socket; good until it is disposed of. */
export interface UnixAddress extends Disposable {
  readonly address: string;
}

/**
 * The address of a unix socket at a path of any length: one that is too long for sockaddr_un is reached by way of its
 * folder's descriptor. Throws what open(2) does where that folder is missing.
 *
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 */
export function unixAddress(path: string): UnixAddress {
  if (Buffer.byteLength(path) <= maxSocketPathBytes) {
    return { address: path, [Symbol.dispose]: () => undefined };
  }
  const folder = openSync(dirname(path), "r");
  return {
    address: `/proc/self/fd/${folder}/${basename(path)}`,
    [Symbol.dispose]: () => {
      closeSync(folder);
    },
  };
}
