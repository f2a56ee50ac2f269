import type { SpecLinux, SpecNamespace } from "../../../core/oci-runtime-spec.ts";
import { CLONE, FS_MAGIC, O } from "../ffi/constants.ts";
import { failure, prefixed } from "../ffi/error.ts";
import { close, fsType, fstat, open, writeFile } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { setns, unshare } from "../ffi/processes.ts";

/** CLONE_* of each type of namespace. */
const flagOf: Readonly<Record<SpecNamespace["type"], number>> = {
  user: CLONE.NEWUSER,
  pid: CLONE.NEWPID,
  network: CLONE.NEWNET,
  ipc: CLONE.NEWIPC,
  uts: CLONE.NEWUTS,
  mount: CLONE.NEWNS,
  cgroup: CLONE.NEWCGROUP,
  time: CLONE.NEWTIME,
};

/** An existing namespace, held open. */
export interface JoinedNamespace {
  readonly type: SpecNamespace["type"];
  readonly fd: number;
  readonly flag: number;
}

/** Which namespaces the container gets, and by whose hand. */
export interface NamespacePlan {
  /** New ones that clone makes. */
  readonly cloneFlags: number;
  /**
   * Entered by the creator before it clones: they take effect for children only, or own what clone makes; all of them
   * where there is a user namespace, from within which those of the host could not be entered.
   */
  readonly before: readonly JoinedNamespace[];
  /** Entered by init itself. */
  readonly inside: readonly JoinedNamespace[];
  readonly newUser: boolean;
  /** Made by init once it is in its cgroup, which becomes the root of what it sees. */
  readonly newCgroup: boolean;
  readonly timeOffsets?: NonNullable<SpecLinux["timeOffsets"]>;
  readonly newTime: boolean;
  /** CLONE_* of all that is not the host's: what an added process has to enter. */
  readonly all: number;
}

/** Opens what is joined, and sorts the rest. */
export function planNamespaces(linux: SpecLinux): NamespacePlan {
  const before: JoinedNamespace[] = [];
  const inside: JoinedNamespace[] = [];
  let cloneFlags = 0;
  let all = 0;
  const fresh: Partial<Record<SpecNamespace["type"], true>> = {};
  const hasUser = (linux.namespaces ?? []).some(({ type }) => type === "user");
  for (const { type, path } of linux.namespaces ?? []) {
    const flag = flagOf[type];
    if (path !== undefined) {
      const fd = openNamespace(type, path);
      if (isOwn(type, fd)) {
        close(fd);
        continue;
      }
      (hasUser || entersBefore(type) ? before : inside).push({ type, fd, flag });
    } else {
      fresh[type] = true;
      if (type !== "cgroup" && type !== "time") cloneFlags += flag;
    }
    all += flag;
  }
  return {
    cloneFlags,
    before,
    inside,
    newUser: fresh.user === true,
    newCgroup: fresh.cgroup === true,
    newTime: fresh.time === true,
    timeOffsets: linux.timeOffsets,
    all,
  };
}

function entersBefore(type: SpecNamespace["type"]): boolean {
  return type === "user" || type === "pid" || type === "time";
}

function openNamespace(type: SpecNamespace["type"], path: string): number {
  try {
    const fd = open(path, O.RDONLY);
    if (fsType(fd) === FS_MAGIC.NSFS) return fd;
    close(fd);
    throw failure("invalid-argument", `${path} is no namespace`);
  } catch (thrown) {
    throw prefixed(`${type} namespace`, thrown);
  }
}

/** True for the namespace that this process is in already: setns of one's own user namespace is an error. */
function isOwn(type: SpecNamespace["type"], fd: number): boolean {
  const own = open(`/proc/self/ns/${procName(type)}`, O.RDONLY);
  const same = inode(own) === inode(fd);
  close(own);
  return same;
}

function procName(type: SpecNamespace["type"]): string {
  if (type === "network") return "net";
  return type === "mount" ? "mnt" : type;
}

function inode(fd: number): string {
  return tostring(fstat(fd).ino);
}

/** What the creator enters itself, right before the clone; it is good for little else afterwards. */
export function enterBefore(plan: NamespacePlan): void {
  if (plan.newTime) {
    unshare(CLONE.NEWTIME);
    for (const [clock, value] of pairs(plan.timeOffsets ?? {})) {
      writeFile("/proc/self/timens_offsets", `${clock} ${value.secs ?? 0} ${value.nanosecs ?? 0}\n`);
    }
  }
  // Those that the host owns can't be entered from within a user namespace, those that it owns perhaps only from there.
  const refused = plan.before.filter(({ type, fd, flag }) => type !== "user" && C.setns(fd, flag) < 0);
  for (const { type, fd, flag } of plan.before) if (type === "user") setns(fd, flag, "user namespace");
  for (const { fd, flag, type } of refused) setns(fd, flag, `${type} namespace`);
  for (const { fd } of plan.before) close(fd);
}

/** What init enters. */
export function enterInside(plan: NamespacePlan): void {
  for (const { fd, flag, type } of plan.inside) {
    setns(fd, flag, `${type} namespace`);
    close(fd);
  }
}
