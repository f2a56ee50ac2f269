import * as ffi from "ffi";
import type { Struct } from "ffi";
import { loadFilter, thisArchitecture } from "./filter.ts";
import { failErrno, libc, long } from "./libc.ts";

const cloneNewns = 0x20000;
const cloneNewipc = 0x8000000;
const cloneNewnet = 0x40000000;
const msBind = 4096;
const msRecPrivate = 16384 + 262144;
const mntDetach = 2;
const limits = { core: 4, processes: 6, openFiles: 7, addressSpace: 9 };

/** Bytes of address space: zstd's largest window and the interpreter's heap fit many times. */
const maxAddressSpaceBytes = 1024 * 1024 * 1024;
/** A packer holds each layer's root and one folder of each. */
const maxOpenFiles = 512;

/** What unpacking needs, and packing, which only reads. SYS_ADMIN is for attributes of overlay. */
export const capabilities = {
  /** CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SYS_ADMIN, MKNOD, SETFCAP. */
  write: [0, 1, 3, 4, 21, 27, 31],
  /** DAC_READ_SEARCH, SYS_ADMIN. */
  read: [2, 21],
} as const;

/**
 * Makes `folder` this process's whole world before it reads a byte of the layer: namespaces of its own, the folder as
 * root with nothing else mounted, no descriptor but the standard three and those that `openFirst` opens, few
 * capabilities, few system calls.
 */
export function confine(
  folder: string,
  keptCapabilities: readonly number[],
  openFirst: () => void = () => undefined,
): void {
  const architecture = thisArchitecture();
  // PR_SET_PDEATHSIG, SIGKILL: without the daemon the work is lost anyway. PR_SET_DUMPABLE. PR_SET_NO_NEW_PRIVS.
  for (const [option, value] of [
    [1, 9],
    [4, 0],
    [38, 1],
  ] as const) {
    if (libc.prctl(option, value, 0, 0, 0) !== 0) failErrno(`prctl ${option}`);
  }
  // close_range, the same number on every architecture; an older kernel has the descriptors that Node closes on exec.
  libc.syscall(long(436), long(3), long(0x7fffffff), long(0));
  openFirst();
  enterRoot(folder, architecture.pivotRoot);
  setLimit(limits.core, 0);
  setLimit(limits.processes, 0);
  setLimit(limits.openFiles, maxOpenFiles);
  setLimit(limits.addressSpace, maxAddressSpaceBytes);
  libc.umask(0);
  dropCapabilities(architecture.capget, architecture.capset, keptCapabilities);
  loadFilter(architecture);
}

/** pivot_root(".", ".") stacks the old root on the new one, from where it is detached. @see pivot_root(2) */
function enterRoot(folder: string, pivotRoot: number): void {
  if (libc.unshare(cloneNewns + cloneNewipc + cloneNewnet) !== 0) failErrno("unshare");
  if (libc.mount("none", "/", undefined, msRecPrivate, undefined) !== 0) failErrno("make / private");
  if (libc.mount(folder, folder, undefined, msBind, undefined) !== 0) failErrno(`mount ${folder}`);
  if (libc.chdir(folder) !== 0) failErrno(`chdir ${folder}`);
  if (libc.syscall(long(pivotRoot), text("."), text(".")) !== 0) failErrno(`pivot_root ${folder}`);
  if (libc.umount2(".", mntDetach) !== 0) failErrno("umount the old root");
  if (libc.chdir("/") !== 0) failErrno("chdir /");
}

function setLimit(resource: number, value: number): void {
  const limit = ffi.new("berth_rlimit", value, value) as Struct<"berth_rlimit">;
  if (libc.setrlimit(resource, limit) !== 0) failErrno(`setrlimit ${resource}`);
}

interface CapabilitySet {
  effective: number;
  permitted: number;
  inheritable: number;
}

/** Keeps of the kept ones what the daemon itself holds. @see capset(2) */
function dropCapabilities(capget: number, capset: number, keptCapabilities: readonly number[]): void {
  // _LINUX_CAPABILITY_VERSION_3: two sets of 32 bits.
  const header = ffi.new("berth_cap_header", 0x20080522, 0) as Struct<"berth_cap_header">;
  const sets = ffi.new("berth_cap_set[2]") as Record<0 | 1, CapabilitySet>;
  if (libc.syscall(long(capget), header, sets) !== 0) failErrno("capget");
  let kept = 0;
  for (const capability of keptCapabilities) kept |= 1 << capability;
  const low = sets[0].permitted & kept;
  // Bit operations give signed results, the fields are unsigned.
  const value = low < 0 ? low + 4294967296 : low;
  sets[0].effective = value;
  sets[0].permitted = value;
  sets[0].inheritable = 0;
  sets[1].effective = 0;
  sets[1].permitted = 0;
  sets[1].inheritable = 0;
  if (libc.syscall(long(capset), header, sets) !== 0) failErrno("capset");
}

/** A C string as an argument of a variadic call. */
function text(value: string): unknown {
  return ffi.new(`char[${value.length + 1}]`, value);
}
