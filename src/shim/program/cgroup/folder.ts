import { AT, O } from "../ffi/constants.ts";
import { E, type Failure, asFailure, errno, sysError } from "../ffi/error.ts";
import { close, listFolders, statx, tryReadFile, writeFile } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Hierarchy } from "./hierarchies.ts";

/** The longest file of a cgroup that is read here, but for lists of processes. */
const maxFileBytes = 4096;

/** A list of processes is read up to this: 100,000 of seven digits. */
const maxProcsBytes = 800_000;

const folderMode = 0o755;

/** The folder of a cgroup in one hierarchy. */
export function folderOf(hierarchy: Hierarchy, path: string): string {
  return hierarchy.mountPoint + path;
}

/** What a file holds, without its last newline; undefined where it cannot be read. */
export function readValue(folder: string, file: string): string | undefined {
  const text = tryReadFile(`${folder}/${file}`, maxFileBytes);
  return text === undefined ? undefined : string.gsub(text, "\n$", "")[0];
}

/** Writes a value; the failure where that did not work. */
export function tryWrite(folder: string, file: string, value: string): Failure | undefined {
  const [ok, problem] = pcall(writeFile, `${folder}/${file}`, value);
  return ok ? undefined : asFailure(problem);
}

/**
 * Writes values in order, each in one write(2); a file that several values in a row are for (the rules of v1's devices)
 * is opened once. Gives the failures of those that did not work.
 */
export function tryWriteAll<T extends { readonly file: string; readonly value: string }>(
  folder: string,
  values: readonly T[],
): LuaTable<T, Failure> {
  const problems = new LuaTable<T, Failure>();
  let file = "";
  let fd = -1;
  let unopened: Failure | undefined;
  for (const one of values) {
    if (one.file !== file) {
      if (fd >= 0) close(fd);
      file = one.file;
      fd = C.openat(AT.FDCWD, `${folder}/${file}`, O.WRONLY | O.NOFOLLOW | O.CLOEXEC, 0);
      unopened = fd < 0 ? sysError("open", `${folder}/${file}`) : undefined;
    }
    if (unopened !== undefined) problems.set(one, unopened);
    else if (C.write(fd, one.value, one.value.length) !== one.value.length) {
      problems.set(one, sysError("write", `${folder}/${file}`));
    }
  }
  if (fd >= 0) close(fd);
  return problems;
}

/** The number after `key` in a file of lines `key number`; undefined where there is none. */
export function readCounter(folder: string, file: string, key: string): number | undefined {
  const text = readValue(folder, file);
  if (text === undefined) return undefined;
  const [digits] = string.match(`\n${text}`, `\n${key} (%d+)`);
  return tonumber(digits);
}

/** mkdir(2): "made", "exists", or "orphan" where the folder above is missing. */
export function makeFolder(folder: string): "made" | "exists" | "orphan" {
  if (C.mkdirat(AT.FDCWD, folder, folderMode) === 0) return "made";
  const number = errno();
  if (number === E.EXIST) return "exists";
  if (number === E.NOENT) return "orphan";
  throw sysError("mkdir", folder, number);
}

/** Folders below a cgroup's; none costs one stat, since cgroupfs counts them in the link count. */
export function childrenOf(folder: string): string[] {
  const ownLinks = 2;
  const [ok, stat] = pcall(statx, AT.FDCWD, folder, 0);
  if (!ok || stat.nlink <= ownLinks) return [];
  const [listed, names] = pcall(listFolders, folder);
  return listed ? names.map((name) => `${folder}/${name}`) : [];
}

/** All processes of a cgroup and those below it. */
export function pidsBelow(folder: string): number[] {
  const pids: number[] = [];
  collectPids(folder, pids);
  return pids;
}

function collectPids(folder: string, pids: number[]): void {
  const text = tryReadFile(`${folder}/cgroup.procs`, maxProcsBytes) ?? "";
  for (const [digits] of string.gmatch(text, "%d+")) pids.push(tonumber(digits) ?? 0);
  for (const child of childrenOf(folder)) collectPids(child, pids);
}

/** Removes a cgroup's folder and all below it; the first that is still in use, undefined when all are gone. */
export function removeFolders(folder: string): string | undefined {
  let busy: string | undefined;
  for (const child of childrenOf(folder)) busy = removeFolders(child) ?? busy;
  if (busy !== undefined || C.unlinkat(AT.FDCWD, folder, AT.REMOVEDIR) === 0) return busy;
  const number = errno();
  if (number === E.NOENT) return undefined;
  if (number === E.BUSY) return folder;
  throw sysError("rmdir", folder, number);
}
