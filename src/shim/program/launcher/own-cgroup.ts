import type { Hierarchies, Hierarchy } from "../cgroup/index.ts";
import { folderOf, unifiedOf } from "../cgroup/index.ts";
import { AT, O } from "../ffi/constants.ts";
import { C } from "../ffi/libc.ts";
import { close, listDir, mkdir } from "../ffi/files.ts";

/**
 * Where this program's own processes live, outside of the daemon's cgroup, so that neither its restart nor its
 * upgrade, nor a systemd that kills by cgroup, touches them. Best effort: a host may not let us.
 */
const home = "/berth-shims";
const folderMode = 0o755;

/** Hierarchies in which processes are placed: those that systemd looks at. */
function placed(hierarchies: Hierarchies): Hierarchy[] {
  return hierarchies.filter((one) => one.version === 2 || one.controllers.includes("name=systemd"));
}

/** Makes `berth-shims/<leaf>`; returns the v2 folder, open for clone3, where there is one. */
export function makeLeaf(hierarchies: Hierarchies, leaf: string): number | undefined {
  for (const hierarchy of placed(hierarchies)) {
    pcall(mkdir, folderOf(hierarchy, home), folderMode);
    pcall(mkdir, folderOf(hierarchy, `${home}/${leaf}`), folderMode);
  }
  const unified = unifiedOf(hierarchies);
  if (unified === undefined) return undefined;
  const fd = C.open(folderOf(unified, `${home}/${leaf}`), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  return fd < 0 ? undefined : fd;
}

/** Moves the calling process into its leaf in the v1 hierarchies (fast: a thread moves itself). */
export function enterLeafV1(hierarchies: Hierarchies, leaf: string): void {
  for (const hierarchy of placed(hierarchies)) {
    if (hierarchy.version === 1) writeZero(`${folderOf(hierarchy, `${home}/${leaf}`)}/tasks`);
  }
}

/** Moves the calling process into its leaf on v2, which may take milliseconds: once, for the launcher. */
export function enterLeafV2(hierarchies: Hierarchies, leaf: string): void {
  const unified = unifiedOf(hierarchies);
  if (unified !== undefined) writeZero(`${folderOf(unified, `${home}/${leaf}`)}/cgroup.procs`);
}

/** Leaves for the parent folder's sake and removes the leaf: the last thing that a shim does. */
export function leaveLeaf(hierarchies: Hierarchies, leaf: string): void {
  for (const hierarchy of placed(hierarchies)) {
    if (hierarchy.version !== 1) continue;
    writeZero(`${folderOf(hierarchy, home)}/tasks`);
    C.unlinkat(AT.FDCWD, folderOf(hierarchy, `${home}/${leaf}`), AT.REMOVEDIR);
  }
}

/** Leaves for the root and removes what is empty by then: the last thing that the launcher does. */
export function leaveHome(hierarchies: Hierarchies): void {
  for (const hierarchy of placed(hierarchies)) {
    writeZero(`${hierarchy.mountPoint}/${hierarchy.version === 2 ? "cgroup.procs" : "tasks"}`);
  }
  sweepLeaves(hierarchies);
  for (const hierarchy of placed(hierarchies)) {
    // EBUSY while a shim lives, whose launcher may be another by now.
    C.unlinkat(AT.FDCWD, folderOf(hierarchy, home), AT.REMOVEDIR);
  }
}

/** Removes leaves that nobody is in any more: shims can't remove the v2 one that they end in. */
export function sweepLeaves(hierarchies: Hierarchies): void {
  for (const hierarchy of placed(hierarchies)) {
    const [ok, names] = pcall(listDir, folderOf(hierarchy, home));
    if (!ok) continue;
    for (const name of names) {
      // EBUSY where somebody lives there, ENOTDIR for the kernel's own files.
      C.unlinkat(AT.FDCWD, folderOf(hierarchy, `${home}/${name}`), AT.REMOVEDIR);
    }
  }
}

function writeZero(path: string): void {
  const fd = C.open(path, O.WRONLY | O.CLOEXEC, 0);
  if (fd < 0) return;
  C.write(fd, "0", 1);
  close(fd);
}
