import type { SpecProcess, SpecScheduler } from "../../../core/oci-runtime-spec.ts";
import { nr } from "../ffi/arch.ts";
import { failure, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { bytes, sizeOf } from "../ffi/memory.ts";
import type { SchedAttr } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";

const ioprioWhoProcess = 1;
const ioprioClassFactor = 8192;
const maxIoPriority = 7;
const ioprioClasses: Readonly<Record<string, number>> = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
};
const policies: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const schedFlags: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
};
/** CPUs that an affinity list may name. */
const maxCpus = 8192;

/** ioprio_set(2) for this process. */
export function setIoPriority(wanted: NonNullable<SpecProcess["ioPriority"]>): void {
  const kind = known(ioprioClasses, wanted.class, "process.ioPriority.class");
  if (wanted.priority < 0 || wanted.priority > maxIoPriority) {
    throw failure("invalid-argument", `process.ioPriority.priority: ${wanted.priority} is not 0 to 7`);
  }
  const value = kind * ioprioClassFactor + wanted.priority;
  if (C.sys_ioprio_set(nr.ioprioSet, ioprioWhoProcess, 0, value) < 0)
    throw sysError("ioprio_set", wanted.class);
}

/** sched_setattr(2) for this process. */
export function setScheduler(wanted: SpecScheduler): void {
  const attr = struct<SchedAttr>("sched_attr");
  attr.size = sizeOf(attr);
  attr.policy = known(policies, wanted.policy, "process.scheduler.policy");
  let flags = 0;
  for (const name of wanted.flags ?? []) flags = flags | known(schedFlags, name, "process.scheduler.flags");
  attr.flags = flags;
  attr.nice = wanted.nice ?? 0;
  attr.priority = wanted.priority ?? 0;
  attr.runtime = wanted.runtime ?? 0;
  attr.deadline = wanted.deadline ?? 0;
  attr.period = wanted.period ?? 0;
  if (C.sys_sched_setattr(nr.schedSetattr, 0, attr, 0) < 0) throw sysError("sched_setattr", wanted.policy);
}

/** sched_setaffinity(2) of a list such as `0-3,7`. */
export function setAffinity(list: string): void {
  const mask = bytes(maxCpus / 8);
  for (const part of list.split(",")) {
    const [first, last] = string.match(part, "^%s*(%d+)%-?(%d*)%s*$");
    const from = tonumber(first);
    const to = last === "" ? from : tonumber(last);
    if (from === undefined || to === undefined || to >= maxCpus || from > to) {
      throw failure("invalid-argument", `process.execCPUAffinity: not a list of cpus: ${list}`);
    }
    for (let cpu = from; cpu <= to; cpu++) {
      const index = Math.floor(cpu / 8);
      mask[index] = (mask[index] as number) | (1 << (cpu % 8));
    }
  }
  if (C.sched_setaffinity(0, maxCpus / 8, mask) < 0) throw sysError("sched_setaffinity", list);
}

function known(table: Readonly<Record<string, number>>, name: string, field: string): number {
  const value = table[name];
  if (value === undefined) throw failure("invalid-argument", `${field}: unknown ${name}`);
  return value;
}
