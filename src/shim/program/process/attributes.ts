import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { nr } from "../ffi/arch.ts";
import { PR } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { bytes, ints, sizeOf } from "../ffi/memory.ts";
import type { SchedAttr } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";
import { tryWriteProc } from "./procfs.ts";

const ioprioWhoProcess = 1;
const ioprioClassShift = 13;
const ioprioClasses: Readonly<Record<string, number>> = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
};
const schedPolicies: Readonly<Record<string, number>> = {
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
const maxCpus = 8192;

/** Writes oom_score_adj; where it may not be lowered (EACCES without CAP_SYS_RESOURCE) that is a warning. */
export function setOomScoreAdj(procfs: number, value: number, warn: (text: string) => void): void {
  const number = tryWriteProc(procfs, "self/oom_score_adj", `${value}`);
  if (number === E.ACCES || number === E.PERM) {
    warn(`oom_score_adj ${value}: permission denied`);
  } else if (number !== 0) {
    throw sysError("write", "/proc/self/oom_score_adj", number);
  }
}

/** A fresh session keyring, so that the container shares none with the host; kernels and quotas may refuse. */
export function newSessionKeyring(name: string): void {
  const joinSessionKeyring = 1;
  if (C.sys_keyctl_name(nr.keyctl, joinSessionKeyring, name) >= 0) return;
  const number = errno();
  if (number !== E.NOSYS && number !== E.PERM && number !== E.DQUOT)
    throw sysError("keyctl", undefined, number);
}

/** Supplementary groups, group and user, in this order: nothing of the shim's own stays (CVE-2023-25173). */
export function setUser(user: SpecProcess["user"]): void {
  const groups = user.additionalGids ?? [];
  const array = ints(groups.length + 1);
  groups.forEach((group, index) => {
    array[index] = group;
  });
  if (C.setgroups(groups.length, array) < 0) {
    // A user namespace made without privilege has setgroups denied; without groups to set that changes nothing.
    if (groups.length > 0 || errno() !== E.PERM) throw sysError("setgroups");
  }
  if (C.setresgid(user.gid, user.gid, user.gid) < 0) throw sysError("setresgid", user.gid);
  if (C.setresuid(user.uid, user.uid, user.uid) < 0) throw sysError("setresuid", user.uid);
}

/** ioprio_set(2). */
export function setIoPriority(wanted: NonNullable<SpecProcess["ioPriority"]>): void {
  const kind = ioprioClasses[wanted.class];
  if (kind === undefined)
    throw failure("invalid-argument", `process.ioPriority.class: unknown ${wanted.class}`);
  const value = kind * 2 ** ioprioClassShift + wanted.priority;
  if (C.sys_ioprio_set(nr.ioprioSet, ioprioWhoProcess, 0, value) < 0)
    throw sysError("ioprio_set", wanted.class);
}

/** sched_setattr(2). */
export function setScheduler(wanted: NonNullable<SpecProcess["scheduler"]>): void {
  const policy = schedPolicies[wanted.policy];
  if (policy === undefined)
    throw failure("invalid-argument", `process.scheduler.policy: unknown ${wanted.policy}`);
  const attr = struct<SchedAttr>("sched_attr");
  attr.size = sizeOf(attr);
  attr.policy = policy;
  for (const name of wanted.flags ?? []) {
    const bit = schedFlags[name];
    if (bit === undefined) throw failure("invalid-argument", `process.scheduler.flags: unknown ${name}`);
    attr.flags = (tonumber(attr.flags as unknown as number) as number) + bit;
  }
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
  for (const [part] of string.gmatch(list, "[^,]+")) {
    const [first, last] = string.match(part, "^%s*(%d+)%-?(%d*)%s*$");
    const from = tonumber(first ?? "");
    const to = last === "" ? from : tonumber(last ?? "");
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

/** personality(2): LINUX (0) or LINUX32 (8). */
export function setPersonality(domain: string): void {
  if (C.personality(domain === "LINUX32" ? 8 : 0) < 0) throw sysError("personality", domain);
}

/** no_new_privs (prctl(2)). */
export function setNoNewPrivileges(): void {
  if (C.prctl(PR.SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) throw sysError("prctl", "PR_SET_NO_NEW_PRIVS");
}
