import { CLOCK_MONOTONIC, CLOCK_REALTIME } from "./constants.ts";
import { C } from "./libc.ts";
import { toNumber } from "./memory.ts";
import type { Timespec } from "./structs.ts";
import { struct } from "./structs.ts";

/** Milliseconds of the monotonic clock, whole. */
export function monotonicMs(): number {
  const now = struct<Timespec>("timespec64");
  C.clock_gettime(CLOCK_MONOTONIC, now);
  return toNumber(now.sec) * 1000 + Math.floor(toNumber(now.nsec) / 1e6);
}

/** The wall clock: whole seconds since the epoch, and nanoseconds. */
export function nowParts(): LuaMultiReturn<[seconds: number, nanoseconds: number]> {
  const now = struct<Timespec>("timespec64");
  C.clock_gettime(CLOCK_REALTIME, now);
  return $multi(toNumber(now.sec), toNumber(now.nsec));
}

/** Nanoseconds since the epoch, decimal: too large for a number. */
export function nowNanos(): string {
  const now = struct<Timespec>("timespec64");
  C.clock_gettime(CLOCK_REALTIME, now);
  return string.format("%d%09d", toNumber(now.sec), toNumber(now.nsec));
}

/** Sleeps; a signal may end it early. */
export function sleepMs(ms: number): void {
  const wait = struct<Timespec>("timespec64");
  wait.sec = Math.floor(ms / 1000);
  wait.nsec = (ms % 1000) * 1e6;
  C.clock_nanosleep(CLOCK_MONOTONIC, 0, wait, undefined);
}
