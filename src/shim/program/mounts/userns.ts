import type { SpecIdMapping } from "../../../core/oci-runtime-spec.ts";
import { CLONE, MOUNT_ATTR, O, SIG } from "../ffi/constants.ts";
import { asFailure, E, failure } from "../ffi/error.ts";
import { close, open, pipe, writeFile } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { bytes, toText } from "../ffi/memory.ts";
import { mountSetattr } from "../ffi/mounts.ts";
import { fork, kill, unshare, waitFor } from "../ffi/processes.ts";
import { sleepMs } from "../ffi/time.ts";
import { mountinfoOf } from "./mountinfo.ts";

/** The mappings of a user namespace, or of a mount. */
export interface IdMaps {
  readonly uids: readonly SpecIdMapping[];
  readonly gids: readonly SpecIdMapping[];
}

const madeMark = "made";
const maxAnswerBytes = 512;
const holdMs = 3_600_000;

/** `inside outside count` a line, as uid_map and gid_map take it (user_namespaces(7)). */
export function idMapText(mappings: readonly SpecIdMapping[]): string {
  return mappings.map((one) => `${one.containerID} ${one.hostID} ${one.size}\n`).join("");
}

/** Writes both maps of a process that waits in a fresh user namespace. */
export function writeIdMaps(
  pid: number,
  uids: readonly SpecIdMapping[],
  gids: readonly SpecIdMapping[],
): void {
  if (gids.length > 0) writeFile(`/proc/${pid}/gid_map`, idMapText(gids));
  if (uids.length > 0) writeFile(`/proc/${pid}/uid_map`, idMapText(uids));
}

/**
 * A user namespace with the given maps, as a descriptor: made by a child that ends at once. For idmapped mounts
 * (mount_setattr(2)) and for pods that get one of their own.
 */
export function makeUserNamespace(uids: readonly SpecIdMapping[], gids: readonly SpecIdMapping[]): number {
  const [readEnd, writeEnd] = pipe();
  const child = fork();
  if (child === 0) {
    const [ok, thrown] = pcall(() => {
      unshare(CLONE.NEWUSER);
    });
    const answer = ok ? madeMark : asFailure(thrown).message;
    C.write(writeEnd, answer, answer.length);
    // Holds the namespace until the parent has opened it and kills this process.
    for (;;) sleepMs(holdMs);
  }
  close(writeEnd);
  const [made, result] = pcall(() => {
    const answer = bytes(maxAnswerBytes);
    const text = toText(answer, Math.max(0, C.read(readEnd, answer, maxAnswerBytes)));
    if (text !== madeMark) throw failure("internal", `user namespace: ${text}`);
    writeIdMaps(child, uids, gids);
    return open(`/proc/${child}/ns/user`, O.RDONLY);
  });
  close(readEnd);
  kill(child, SIG.KILL);
  waitFor(child);
  if (!made) throw result;
  return result;
}

/**
 * Lets a detached mount, with AT_RECURSIVE in `flags` all of it, be seen through id mappings; `what` is its source's path.
 * `invalid-argument` where the kernel cannot do that on its file system.
 */
export function mapIds(mountFd: number, { uids, gids }: IdMaps, flags: number, what: string): void {
  const userns = makeUserNamespace(uids, gids);
  const [ok, thrown] = pcall(() => {
    mountSetattr(mountFd, flags, { set: MOUNT_ATTR.IDMAP, userns }, `idmap ${what}`);
  });
  close(userns);
  if (ok) return;
  const problem = asFailure(thrown);
  if (problem.errno !== E.INVAL) throw problem;
  const text = `${problem.message}: its file system, ${filesystemType(what)}, cannot be id-mapped`;
  throw { ...problem, code: "invalid-argument", message: text };
}

function filesystemType(path: string): string {
  const [type] = string.match(mountinfoOf(path), " %- (%S+)");
  return type ?? "unknown";
}
