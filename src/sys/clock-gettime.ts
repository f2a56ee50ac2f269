import { checked } from "./call.ts";
import { libc } from "./ffi.ts";

const clockGettimeFunction = libc.function("clock_gettime", ["i32", "bytes"], "i32");

const CLOCK_REALTIME = 0;
const nanosecondsPerSecond = 1_000_000_000n;

/**
 * The wall clock in nanoseconds since the epoch, which Node itself gives in milliseconds alone.
 *
 * @see https://man7.org/linux/man-pages/man2/clock_gettime.2.html
 */
export function clockGettime(): bigint {
  // struct timespec: two 64-bit numbers on every 64-bit architecture.
  const timespec = Buffer.alloc(16);
  checked("clock_gettime", clockGettimeFunction(CLOCK_REALTIME, timespec));
  return timespec.readBigInt64LE(0) * nanosecondsPerSecond + timespec.readBigInt64LE(8);
}
