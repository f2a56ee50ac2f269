import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { toNumber } from "../ffi/memory.ts";
import type { Rlimit } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";

/** RLIM_INFINITY, as a number: every larger one means it too. */
const infinity = 2 ** 64;
const kib = 1024;
const mib = 1024 * kib;

interface RlimitDefault {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/**
 * All sixteen limits in the order of their numbers (asm-generic/resource.h) with what a process gets unless the spec
 * says otherwise: the kernel's own values for init, but NPROC without a limit (that is the pids cgroup's work) and
 * NOFILE as systemd gives it. Set explicitly, because what the daemon runs with (Node raises its NOFILE) is nobody
 * else's business.
 */
const limits: readonly RlimitDefault[] = [
  { name: "RLIMIT_CPU", soft: infinity, hard: infinity },
  { name: "RLIMIT_FSIZE", soft: infinity, hard: infinity },
  { name: "RLIMIT_DATA", soft: infinity, hard: infinity },
  { name: "RLIMIT_STACK", soft: 8 * mib, hard: infinity },
  { name: "RLIMIT_CORE", soft: 0, hard: infinity },
  { name: "RLIMIT_RSS", soft: infinity, hard: infinity },
  { name: "RLIMIT_NPROC", soft: infinity, hard: infinity },
  { name: "RLIMIT_NOFILE", soft: 1024, hard: 524288 },
  { name: "RLIMIT_MEMLOCK", soft: 8 * mib, hard: 8 * mib },
  { name: "RLIMIT_AS", soft: infinity, hard: infinity },
  { name: "RLIMIT_LOCKS", soft: infinity, hard: infinity },
  { name: "RLIMIT_SIGPENDING", soft: 0, hard: 0 },
  { name: "RLIMIT_MSGQUEUE", soft: 800 * kib, hard: 800 * kib },
  { name: "RLIMIT_NICE", soft: 0, hard: 0 },
  { name: "RLIMIT_RTPRIO", soft: 0, hard: 0 },
  { name: "RLIMIT_RTTIME", soft: infinity, hard: infinity },
];
/** The kernel sizes SIGPENDING by the machine's memory: what this process has is what init got. */
const machineSized = "RLIMIT_SIGPENDING";

/** The number of a limit, or `undefined` for a name that is none. */
export function rlimitNumber(name: string): number | undefined {
  const index = limits.findIndex((one) => one.name === name);
  return index < 0 ? undefined : index;
}

/**
 * Raises hard limits of a process (0 is this one) to what the spec asks for, or to the defaults. One that may not be
 * raised (no CAP_SYS_RESOURCE, which a user namespace does not give: so its parent outside does it) is a warning where
 * the spec asked. Soft limits stay, so that this program itself is not hindered yet.
 */
export function raiseHardLimits(
  pid: number,
  wanted: SpecProcess["rlimits"],
  warn: (text: string) => void,
): void {
  for (const limit of wanted ?? []) {
    if (rlimitNumber(limit.type) === undefined)
      throw failure("invalid-argument", `process.rlimits: unknown ${limit.type}`);
  }
  limits.forEach((fallback, number) => {
    const asked = (wanted ?? []).find((one) => one.type === fallback.name);
    const hard = amount((asked ?? fallback).hard);
    const current = readLimit(pid, number, fallback.name);
    const before = amount(toNumber(current.max));
    if (before >= hard || setOne(pid, number, amount(toNumber(current.cur)), hard)) return;
    if (errno() !== E.PERM) throw sysError("prlimit", fallback.name);
    if (asked !== undefined)
      warn(`${fallback.name}: hard limit stays at ${shown(before)}, ${shown(hard)} was asked for`);
  });
}

/** Sets every limit of this process, to what the spec says or to the defaults, below hard limits that stay. */
export function setRlimits(wanted: SpecProcess["rlimits"]): void {
  limits.forEach((fallback, number) => {
    const asked = (wanted ?? []).find((one) => one.type === fallback.name);
    if (asked === undefined && fallback.name === machineSized) return;
    const soft = amount((asked ?? fallback).soft);
    const hard = amount((asked ?? fallback).hard);
    if (setOne(0, number, soft, hard)) return;
    if (errno() !== E.PERM) throw sysError("prlimit", fallback.name);
    const capped = amount(toNumber(readLimit(0, number, fallback.name).max));
    if (!setOne(0, number, Math.min(soft, capped), capped)) throw sysError("prlimit", fallback.name);
  });
}

function readLimit(pid: number, number: number, name: string): Rlimit {
  const current = struct<Rlimit>("rlimit64_buf");
  if (C.prlimit(pid, number, undefined, current) < 0) throw sysError("prlimit", name);
  return current;
}

function setOne(pid: number, number: number, soft: number, hard: number): boolean {
  const value = struct<Rlimit>("rlimit64_buf");
  value.cur = toLimit(soft);
  value.max = toLimit(hard);
  return C.prlimit(pid, number, value, undefined) === 0;
}

/** What the spec says, where JSON writers put -1 or the whole 64 bits for no limit. */
function amount(value: number): number {
  return value < 0 || value >= 2 ** 63 ? infinity : value;
}

/** RLIM_INFINITY is no Lua number: -1 in the struct's signed field is the same 64 bits. */
function toLimit(value: number): number {
  return value >= infinity ? -1 : value;
}

function shown(value: number): string {
  return value >= infinity ? "unlimited" : string.format("%.0f", value);
}
