import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { checked } from "./call.ts";
import { LOCK_NB } from "./constants.ts";
import { libc } from "./ffi.ts";

const flockFunction = libc.function("flock", ["i32", "i32"], "i32");

/** How long between two tries for a lock that somebody else holds, in milliseconds. */
const retryDelayMs = 2;

/**
 * Locks or unlocks an open file, trying again until it succeeds or `signal` aborts; closing the file unlocks too.
 *
 * @see https://man7.org/linux/man-pages/man2/flock.2.html
 */
export async function flock(fd: number, operation: number, path: string, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const result = flockFunction(fd, operation | LOCK_NB);
    if (result.value === -1 && result.errno === constants.errno.EAGAIN) {
      await sleep(retryDelayMs);
      continue;
    }
    checked("flock", result, path);
    return;
  }
}
