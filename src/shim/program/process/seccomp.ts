import { O } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { close, open, readAllFd } from "../ffi/files.ts";
import type { Bytes } from "../ffi/memory.ts";
import { bytes, copy } from "../ffi/memory.ts";
import type { SockFprog, Struct } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";

/** The operation of seccomp(2) that loads a filter. */
export const setModeFilter = 1;
const instructionBytes = 8;
/** BPF_MAXINSNS (linux/bpf_common.h). */
const maxInstructions = 4096;

const flagBits: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC: 1,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};

/** A filter in memory, ready to be loaded by one call. */
export interface SeccompFilter {
  readonly flags: number;
  readonly program: Struct<SockFprog>;
  /** What the program points at; held so that the garbage collector leaves it alone. */
  readonly instructions: Bytes;
}

/** Reads a compiled filter, an array of struct sock_filter. */
export function readSeccompFilter(file: {
  readonly path: string;
  readonly flags: readonly string[];
}): SeccompFilter {
  const fd = open(file.path, O.RDONLY);
  const [ok, content] = pcall(() => readAllFd(fd, maxInstructions * instructionBytes, file.path));
  close(fd);
  if (!ok) throw content;
  const code = content;
  if (code.length === 0 || code.length % instructionBytes !== 0) {
    throw failure(
      "invalid-argument",
      `seccomp filter ${file.path}: ${code.length} bytes are no array of instructions`,
    );
  }
  const instructions = bytes(code.length);
  copy(instructions, code, code.length);
  const program = struct<SockFprog>("sock_fprog");
  program.len = code.length / instructionBytes;
  program.filter = instructions;
  return { flags: flagsOf(file.flags), program, instructions };
}

function flagsOf(names: readonly string[]): number {
  let flags = 0;
  for (const name of names) {
    const bit = flagBits[name];
    if (bit === undefined) throw failure("invalid-argument", `seccomp flag ${name}: not supported`);
    flags = flags | bit;
  }
  return flags;
}
