import { closeSync, openSync, statfsSync } from "node:fs";
import { constants } from "node:os";
import { checked } from "./call.ts";
import { CLONE_NEWNET, NSFS_MAGIC } from "./constants.ts";
import { SysError } from "./error.ts";
import { libc } from "./ffi.ts";

const setnsFunction = libc.function("setns", ["i32", "i32"], "i32");

/**
 * Moves the calling thread into a namespace. Only {@link withNetns} may use it in the daemon: the event loop must
 * never be left elsewhere.
 *
 * @see https://man7.org/linux/man-pages/man2/setns.2.html
 */
export function setns(fd: number, nstype: number): void {
  checked("setns", setnsFunction(fd, nstype));
}

/**
 * Opens a pinned namespace for reading, close-on-exec. A file that is no namespace (the pin's mount is gone, the
 * empty file under it is left) throws `EINVAL`, a missing one `ENOENT`.
 */
export function openNamespace(path: string): number {
  // The check comes before open: opening a FIFO or a device found there could block or have effects.
  if (statfsSync(path).type !== NSFS_MAGIC) {
    throw new SysError("open", constants.errno.EINVAL, path, "not a namespace");
  }
  return openSync(path, "r");
}

/**
 * Runs `work` on this thread inside the network namespace `fd`, then returns. A socket opened in it stays there; a
 * file of /proc/sys/net is that namespace's where it is opened by its whole path.
 *
 * `work` must be synchronous. Threads of libuv's pool are not moved, so asynchronous calls act in the daemon's own
 * namespace. The process aborts if it cannot return: going on in a pod's namespace would be worse.
 */
export function withNetns<T>(fd: number, work: () => T extends PromiseLike<unknown> ? never : T): T {
  const home = openSync("/proc/thread-self/ns/net", "r");
  try {
    setns(fd, CLONE_NEWNET);
    try {
      return work();
    } finally {
      returnHome(home);
    }
  } finally {
    closeSync(home);
  }
}

function returnHome(home: number): void {
  try {
    setns(home, CLONE_NEWNET);
  } catch {
    process.abort();
  }
}
