import * as ffi from "ffi";
import { nr } from "./arch.ts";
import { sysError } from "./error.ts";
import { C } from "./libc.ts";
import type { Int64 } from "./memory.ts";
import { address, bytes, copy, ints, sizeOf } from "./memory.ts";
import type { Struct } from "./structs.ts";
import { struct } from "./structs.ts";

// The heads of union bpf_attr that are used here; the kernel takes a shorter size and sees zeros for the rest.
ffi.cdef(`
typedef struct { uint32_t type, count; uint64_t instructions, license; uint32_t log_level, log_size; uint64_t log; } bpf_load;
typedef struct { uint32_t target, program, type, flags, replace; } bpf_attach;
typedef struct { uint32_t target, type, query_flags, flags; uint64_t ids; uint32_t count, pad; } bpf_query;
typedef struct { uint32_t id, next, flags; } bpf_by_id;
`);

const command = { progLoad: 5, progAttach: 8, progDetach: 9, progGetFdById: 13, progQuery: 16 } as const;
const progTypeCgroupDevice = 15;
const attachCgroupDevice = 6;
const allowMulti = 2;
const instructionBytes = 8;
const maxAttached = 64;

interface Load {
  type: number;
  count: number;
  instructions: Int64;
  license: Int64;
}

interface Attach {
  target: number;
  program: number;
  type: number;
  flags: number;
}

interface Query {
  target: number;
  type: number;
  ids: Int64;
  count: number;
}

/** Loads a BPF_PROG_TYPE_CGROUP_DEVICE program; returns its descriptor (bpf(2)). */
export function loadDeviceProgram(code: readonly number[]): number {
  const instructions = bytes(code.length);
  for (let i = 0; i < code.length; i++) instructions[i] = code[i] as number;
  const license = bytes(16);
  copy(license, "Apache-2.0", 10);
  const load = struct<Load>("bpf_load");
  load.type = progTypeCgroupDevice;
  load.count = code.length / instructionBytes;
  load.instructions = address(instructions);
  load.license = address(license);
  const fd = call(command.progLoad, load);
  if (fd < 0) throw sysError("bpf", "load of the device program");
  return fd;
}

/** Attaches a loaded program to a cgroup's folder, beside those that are there. */
export function attachDeviceProgram(cgroup: number, program: number): void {
  if (call(command.progAttach, attachment(cgroup, program, allowMulti)) < 0)
    throw sysError("bpf", "attach of the device program");
}

/** Detaches a program. */
export function detachDeviceProgram(cgroup: number, program: number): void {
  // Flags must be 0 here (Linux 6.6 and later refuse others).
  if (call(command.progDetach, attachment(cgroup, program, 0)) < 0)
    throw sysError("bpf", "detach of the device program");
}

/** Descriptors of the device programs that are attached to a cgroup itself; the caller closes them. */
export function attachedDevicePrograms(cgroup: number): number[] {
  const ids = ints(maxAttached);
  const query = struct<Query>("bpf_query");
  query.target = cgroup;
  query.type = attachCgroupDevice;
  query.ids = address(ids);
  query.count = maxAttached;
  if (call(command.progQuery, query) < 0) throw sysError("bpf", "query of the device programs");
  const programs: number[] = [];
  for (let i = 0; i < query.count; i++) {
    const byId = struct<{ id: number }>("bpf_by_id");
    byId.id = ids[i] as number;
    const fd = call(command.progGetFdById, byId);
    if (fd >= 0) programs.push(fd);
  }
  return programs;
}

function attachment(cgroup: number, program: number, flags: number): Struct<Attach> {
  const attach = struct<Attach>("bpf_attach");
  attach.target = cgroup;
  attach.program = program;
  attach.type = attachCgroupDevice;
  attach.flags = flags;
  return attach;
}

function call(which: number, attributes: Struct<object>): number {
  return C.sys_bpf(nr.bpf, which, attributes, sizeOf(attributes));
}
