import { architectureOf } from "./architecture.ts";
import { checked } from "./call.ts";
import { libc } from "./ffi.ts";

const schedSetattrFunction = libc.function("syscall", ["i64", "i64", "bytes", "i64"], "i64");

/** SCHED_ATTR_SIZE_VER0: all of the struct's first form. */
const attributeBytes = 48;
const schedOther = 0;
const schedFlagResetOnFork = 1n;

/**
 * Gives the calling thread a nice value, -20 to 19. What it starts from then on, threads and processes, has none below 0.
 * Throws `EPERM` without CAP_SYS_NICE.
 *
 * @see https://man7.org/linux/man-pages/man2/sched_setattr.2.html
 */
export function schedSetNice(nice: number): void {
  const attributes = Buffer.alloc(attributeBytes);
  attributes.writeUInt32LE(attributeBytes, 0);
  attributes.writeUInt32LE(schedOther, 4);
  attributes.writeBigUInt64LE(schedFlagResetOnFork, 8);
  attributes.writeInt32LE(nice, 16);
  const { syscalls } = architectureOf(process.arch);
  checked("sched_setattr", schedSetattrFunction(syscalls.sched_setattr, 0, attributes, 0));
}
