import * as ffi from "ffi";
import { CLOCK_MONOTONIC, CLOCK_REALTIME } from "./constants.ts";
import { C } from "./libc.ts";
import type { Ints } from "./memory.ts";
import type { Timespec } from "./structs.ts";
import { struct } from "./structs.ts";

// In 32-bit halves: a 64-bit field would be an object, and so garbage, at every look at the clock.
ffi.cdef(`int clock_gettime_words(int clock, uint32_t *time) __asm__("clock_gettime");`);
const words = ffi.new<Ints>("uint32_t[4]");
const wordRange = 0x100000000;

/** @noSelf */
interface Calls {
  clock_gettime_words(clock: number, time: Ints): number;
}

/** Whole seconds and nanoseconds of a clock. */
function readClock(clock: number): LuaMultiReturn<[seconds: number, nanoseconds: number]> {
  (ffi.C as Calls).clock_gettime_words(clock, words);
  return $multi((words[0] as number) + (words[1] as number) * wordRange, words[2] as number);
}

/** Milliseconds of the monotonic clock, whole. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = readClock(CLOCK_MONOTONIC);
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
}

/** The wall clock: whole seconds since the epoch, and nanoseconds. */
export function nowParts(): LuaMultiReturn<[seconds: number, nanoseconds: number]> {
  return readClock(CLOCK_REALTIME);
}

/** Nanoseconds since the epoch, decimal: too large for a number. */
export function nowNanos(): string {
  return string.format("%d%09d", ...readClock(CLOCK_REALTIME));
}

/** Sleeps; a signal may end it early. */
export function sleepMs(ms: number): void {
  const wait = struct<Timespec>("timespec64");
  wait.sec = Math.floor(ms / 1000);
  wait.nsec = (ms % 1000) * 1e6;
  C.clock_nanosleep(CLOCK_MONOTONIC, 0, wait, undefined);
}
