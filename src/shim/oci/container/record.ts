import type { CreatedInit } from "../../program/create/message.ts";
import { AT, O } from "../../program/ffi/constants.ts";
import { E, errno, failure, sysError } from "../../program/ffi/error.ts";
import { close, listDir, mkdir, open, tryReadFile, unlink, writeAll } from "../../program/ffi/files.ts";
import { C } from "../../program/ffi/libc.ts";
import { decode, encode } from "../../program/json.ts";

/** A container as it is written down, once, when it has been created. */
export interface ContainerRecord {
  /** Raised whenever a field changes its meaning. */
  readonly version: 1;
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly created: string;
  readonly ownerUid: number;
  readonly annotations: Readonly<Record<string, string>>;
  /** Absolute from the hierarchies' roots. */
  readonly cgroup: string;
  /** Folders above the cgroup that were made for it. */
  readonly cgroupParents: readonly string[];
  readonly init: CreatedInit;
  /** Whether the container has a PID namespace of its own, whose processes end with init. */
  readonly ownPids: boolean;
  readonly keyring: "new" | "inherited";
  /** The filter of `linux.seccomp`, in {@link ContainerFolder.filter}; absent without one. */
  readonly seccompFlags?: readonly string[];
}

/** The files of one container. */
export interface ContainerFolder {
  readonly path: string;
  readonly state: string;
  /** FIFO that init waits at; it is gone once the container was started. */
  readonly start: string;
  /** FIFO through which init says why its execve failed. */
  readonly status: string;
  /** The compiled seccomp filter. */
  readonly filter: string;
}

const recordVersion = 1;
const maxRecordBytes = 1024 * 1024;
const maxIdBytes = 1024;
const folderMode = 0o700;
const fileMode = 0o600;
const lockExclusive = 2;

/** Checks an id: what is a plain file name of letters, digits and `_ + - .`. */
export function parseId(id: string | undefined): string {
  if (id === undefined || id === "") throw failure("invalid-argument", "container id cannot be empty");
  const [plain] = string.match(id, "^[%w_+%.-]+$");
  if (plain === undefined || id === "." || id === ".." || id.length > maxIdBytes) {
    throw failure("invalid-argument", `invalid container id format: ${id}`);
  }
  return id;
}

/** Where a container's files are. */
export function folderOfContainer(root: string, id: string): ContainerFolder {
  const path = `${root}/${id}`;
  return {
    path,
    state: `${path}/state.json`,
    start: `${path}/start`,
    status: `${path}/status`,
    filter: `${path}/seccomp.bpf`,
  };
}

/** Makes the folder of a new container; throws where there is one already. */
export function claimFolder(root: string, id: string): ContainerFolder {
  for (const [end] of string.gmatch(`${root}/`, "()/")) {
    const parent = string.sub(root, 1, (end as unknown as number) - 1);
    if (parent !== "") mkdir(parent, folderMode);
  }
  const folder = folderOfContainer(root, id);
  if (C.mkdirat(AT.FDCWD, folder.path, folderMode) === 0) return folder;
  const number = errno();
  if (number === E.EXIST) {
    throw failure("failed-precondition", `container with given ID already exists: ${id}`);
  }
  throw sysError("mkdir", folder.path, number);
}

/** Removes a container's folder with what this program puts there. */
export function removeFolder(folder: ContainerFolder): void {
  for (const file of [folder.start, folder.status, folder.filter, folder.state, `${folder.state}.new`]) {
    unlink(file);
  }
  if (C.unlinkat(AT.FDCWD, folder.path, AT.REMOVEDIR) < 0 && errno() !== E.NOENT) {
    throw sysError("rmdir", folder.path);
  }
}

/** Writes the record so that readers see all of it or none. */
export function writeRecord(folder: ContainerFolder, record: ContainerRecord): void {
  const fresh = `${folder.state}.new`;
  const fd = open(fresh, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, fileMode);
  writeAll(fd, encode(record), fresh);
  close(fd);
  if (C.renameat(AT.FDCWD, fresh, AT.FDCWD, folder.state) < 0) throw sysError("rename", folder.state);
}

/** The record of a container; `undefined` where there is none, or not yet. */
export function tryReadRecord(root: string, id: string): ContainerRecord | undefined {
  const text = tryReadFile(folderOfContainer(root, id).state, maxRecordBytes);
  if (text === undefined) return undefined;
  const record = decode(text, maxRecordBytes) as ContainerRecord;
  if (record.version === recordVersion) return record;
  throw failure("failed-precondition", `container ${id}: its record is of another version of this program`);
}

/** The same, throwing `not-found`. */
export function readRecord(root: string, id: string): ContainerRecord {
  const record = tryReadRecord(root, id);
  if (record === undefined) throw failure("not-found", `container does not exist: ${id}`);
  return record;
}

/** The ids of all containers, in order. */
export function listIds(root: string): string[] {
  const [ok, names] = pcall(listDir, root);
  return ok ? names.sort() : [];
}

/**
 * Runs `work` while no other command changes this container. The folder itself is what is locked (flock(2)); the lock
 * goes with its descriptor.
 */
export function locked<T>(root: string, id: string, work: () => T): T {
  const { path } = folderOfContainer(root, id);
  const [opened, fd] = pcall(open, path, O.RDONLY | O.DIRECTORY);
  if (!opened) throw failure("not-found", `container does not exist: ${id}`);
  if (C.flock(fd, lockExclusive) < 0) throw sysError("flock", path);
  const [ok, result] = pcall(work);
  close(fd);
  if (!ok) throw result as unknown;
  return result;
}
