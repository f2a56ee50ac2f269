import * as ffi from "ffi";
import { commonNr } from "./arch.ts";
import { AT, F, O, S } from "./constants.ts";
import { E, errno, failure, sysError } from "./error.ts";
import { C } from "./libc.ts";
import type { Bytes, Ints } from "./memory.ts";
import { bytes, ints, offset, sizeOf, toNumber, toText, toTextZ } from "./memory.ts";
import type { OpenHow, Statfs, Statx } from "./structs.ts";
import { struct } from "./structs.ts";

const statxBasicAndMountId = 0x17ff;
const lastFd = 0xffffffff;
const closeRangeCloexec = 4;
const readChunkBytes = 4096;
const pathMaxBytes = 4096;
/** linux/memfd.h */
const MFD_CLOEXEC = 1;

const statxSize = 0x200;
const wordRange = 0x100000000;
const sizeBuffer = struct<Statx>("statx_buf");
/** The same in 32-bit words: a 64-bit field would be an object at every look. */
const sizeWords = ffi.cast<Ints>("uint32_t *", sizeBuffer);
const sizeWord = 10;

/** Where reads land first: one for all, since what was read is copied out before anything else runs. */
const chunk = bytes(readChunkBytes);

/** open(2), always with O_CLOEXEC. */
export function open(path: string, flags: number, mode = 0): number {
  return openat(AT.FDCWD, path, flags, mode);
}

/** openat(2), always with O_CLOEXEC. */
export function openat(dir: number, path: string, flags: number, mode = 0): number {
  const fd = C.openat(dir, path, flags | O.CLOEXEC, mode);
  if (fd < 0) throw sysError("open", path);
  return fd;
}

/** openat2(2), always with O_CLOEXEC; `undefined` where nothing has that name (ENOENT). */
export function openat2(dir: number, path: string, flags: number, resolve: number): number | undefined {
  const how = struct<OpenHow>("open_how");
  how.flags = flags | O.CLOEXEC;
  how.resolve = resolve;
  for (let attempt = 0; ; attempt++) {
    const fd = C.sys_openat2(commonNr.openat2, dir, path, how, sizeOf(how));
    if (fd >= 0) return fd;
    const number = errno();
    if (number === E.NOENT) return undefined;
    // EAGAIN: a rename raced with the look-up of "..", which the kernel asks to be tried again.
    if (number !== E.AGAIN || attempt >= 128) throw sysError("openat2", path, number);
  }
}

/** close(2); errors are of no use to anyone. */
export function close(fd: number): void {
  C.close(fd);
}

/** read(2) into `buffer`; 0 is the end, `undefined` is not ready (EAGAIN). */
export function readInto(fd: number, buffer: Bytes, count: number): number | undefined {
  for (;;) {
    const got = C.read(fd, buffer, count);
    if (got >= 0) return got;
    const number = errno();
    if (number === E.AGAIN) return undefined;
    if (number !== E.INTR) throw sysError("read", fd, number);
  }
}

/** Writes all of `text`; for files and pipes that block. */
export function writeAll(fd: number, text: string, path: string): void {
  let rest = text;
  while (rest.length > 0) {
    const put = C.write(fd, rest, rest.length);
    if (put < 0) {
      const number = errno();
      if (number !== E.INTR) throw sysError("write", path, number);
    } else {
      rest = string.sub(rest, put + 1);
    }
  }
}

/** Reads to the end; throws `resource-exhausted` beyond `maxBytes`. */
export function readAllFd(fd: number, maxBytes: number, path: string): string {
  const parts: string[] = [];
  let total = 0;
  for (;;) {
    const got = C.read(fd, chunk, readChunkBytes);
    if (got < 0) {
      const number = errno();
      if (number === E.INTR) continue;
      throw sysError("read", path, number);
    }
    if (got === 0) return table.concat(parts);
    total += got;
    if (total > maxBytes) throw failure("resource-exhausted", `${path}: longer than ${maxBytes} bytes`);
    parts.push(toText(chunk, got));
  }
}

/** A whole file; throws where it is longer than `maxBytes`. */
export function readFile(path: string, maxBytes: number, dir: number = AT.FDCWD): string {
  const fd = openat(dir, path, O.RDONLY);
  const [ok, result] = pcall(() => readAllFd(fd, maxBytes, path));
  C.close(fd);
  if (!ok) throw result;
  return result;
}

/** A whole file, or `undefined` where it is not there or can't be opened. */
export function tryReadFile(path: string, maxBytes: number, dir: number = AT.FDCWD): string | undefined {
  const fd = C.openat(dir, path, O.RDONLY | O.CLOEXEC, 0);
  if (fd < 0) return undefined;
  const [ok, result] = pcall(() => readAllFd(fd, maxBytes, path));
  C.close(fd);
  return ok ? result : undefined;
}

/** memfd_create(2): a file without a name that holds `text`, close-on-exec but where `flags` say otherwise. */
export function memoryFile(name: string, text: string, flags = MFD_CLOEXEC): number {
  const fd = C.memfd_create(name, flags);
  if (fd < 0) throw sysError("memfd_create", name);
  writeAll(fd, text, name);
  return fd;
}

/** Writes `text` to an existing file in one write(2), as kernel files want it. */
export function writeFile(path: string, text: string, dir: number = AT.FDCWD): void {
  const fd = openat(dir, path, O.WRONLY | O.NOFOLLOW);
  const put = C.write(fd, text, text.length);
  const number = errno();
  C.close(fd);
  if (put !== text.length) throw sysError("write", path, number);
}

/** statx(2). */
export function statx(dir: number, path: string, flags: number): Statx {
  const found = tryStatx(dir, path, flags);
  if (found === undefined) throw sysError("stat", path);
  return found;
}

/** statx(2), `undefined` on any error (see errno). */
export function tryStatx(dir: number, path: string, flags: number): Statx | undefined {
  const buffer = struct<Statx>("statx_buf");
  if (C.statx(dir, path, flags, statxBasicAndMountId, buffer) < 0) return undefined;
  return buffer;
}

/** What an open descriptor refers to. */
export function fstat(fd: number): Statx {
  return statx(fd, "", AT.EMPTY_PATH);
}

/** Length of an open file, asked without leaving garbage; 0 where it cannot be asked. */
export function fileSize(fd: number): number {
  if (C.statx(fd, "", AT.EMPTY_PATH, statxSize, sizeBuffer) < 0) return 0;
  return (sizeWords[sizeWord] as number) + (sizeWords[sizeWord + 1] as number) * wordRange;
}

/** True where `mode` has the given S.IF* type. */
export function isType(stat: Statx, type: number): boolean {
  return (stat.mode & S.IFMT) === type;
}

/** The file system's magic number (statfs(2) f_type). */
export function fsType(fd: number): number {
  const buffer = struct<Statfs>("statfs_buf");
  if (C.fstatfs(fd, buffer) < 0) throw sysError("fstatfs", fd);
  return toNumber(buffer.type);
}

/** mkdirat(2); an existing one is fine. */
export function mkdir(path: string, mode: number, dir: number = AT.FDCWD): void {
  if (C.mkdirat(dir, path, mode) < 0 && errno() !== E.EXIST) throw sysError("mkdir", path);
}

/** unlinkat(2); a missing one is fine. */
export function unlink(path: string, dir: number = AT.FDCWD): void {
  if (C.unlinkat(dir, path, 0) < 0 && errno() !== E.NOENT) throw sysError("unlink", path);
}

/** readlinkat(2); `undefined` on any error (see errno). */
export function readlink(path: string, dir: number = AT.FDCWD): string | undefined {
  const buffer = bytes(pathMaxBytes);
  const got = C.readlinkat(dir, path, buffer, pathMaxBytes);
  return got < 0 ? undefined : toText(buffer, got);
}

/** Names in a folder, without `.` and `..`, in no order. */
export function listDir(path: string, dir: number = AT.FDCWD): string[] {
  const handle = C.fdopendir(openat(dir, path, O.RDONLY | O.DIRECTORY));
  if (handle === undefined) throw sysError("opendir", path);
  const names: string[] = [];
  for (let entry = C.readdir64(handle); entry !== undefined; entry = C.readdir64(handle)) {
    const name = toTextZ(entry.name);
    if (name !== "." && name !== "..") names.push(name);
  }
  C.closedir(handle);
  return names;
}

/** Names of the folders in a folder, for file systems whose entries carry their type (cgroupfs, procfs, tmpfs...). */
export function listFolders(path: string): string[] {
  const typeFolder = 4;
  const handle = C.fdopendir(openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY));
  if (handle === undefined) throw sysError("opendir", path);
  const names: string[] = [];
  for (let entry = C.readdir64(handle); entry !== undefined; entry = C.readdir64(handle)) {
    if (entry.type !== typeFolder) continue;
    const name = toTextZ(entry.name);
    if (name !== "." && name !== "..") names.push(name);
  }
  C.closedir(handle);
  return names;
}

/** pipe2(2) with O_CLOEXEC: read end, write end. */
export function pipe(flags = 0): LuaMultiReturn<[number, number]> {
  const fds = ints(2);
  if (C.pipe2(fds, flags | O.CLOEXEC) < 0) throw sysError("pipe2");
  return $multi(fds[0] as number, fds[1] as number);
}

/** close_range(2) with CLOSE_RANGE_CLOEXEC: no descriptor from `first` on outlives execve (CVE-2024-21626). */
export function closeOnExec(first: number): void {
  if (C.sys_close_range(commonNr.closeRange, first, lastFd, closeRangeCloexec) < 0) {
    throw sysError("close_range", first);
  }
}

/** Clears FD_CLOEXEC of `count` descriptors from `first` on; one that is not open is none (fcntl(2)). */
export function keepOnExec(first: number, count: number): void {
  for (let fd = first; fd < first + count; fd++) C.fcntl(fd, F.SETFD, 0);
}

/** Sets O_NONBLOCK, the only flag that F_SETFL is used for here. */
export function setNonblocking(fd: number): void {
  const flags = C.fcntl(fd, F.GETFL, 0);
  if (flags < 0 || C.fcntl(fd, F.SETFL, flags | O.NONBLOCK) < 0) throw sysError("fcntl", fd);
}

/** Clears O_NONBLOCK. */
export function setBlocking(fd: number): void {
  const flags = C.fcntl(fd, F.GETFL, 0);
  if (flags < 0 || C.fcntl(fd, F.SETFL, flags & ~O.NONBLOCK) < 0) throw sysError("fcntl", fd);
}

/** A window into memory, for writing what is left. */
export function tail(buffer: Bytes, from: number): Bytes {
  return offset(buffer, from);
}

/** A second descriptor of the same open file, close-on-exec (fcntl(2) F_DUPFD_CLOEXEC). */
export function duplicate(fd: number): number {
  const copy = C.fcntl(fd, F.DUPFD_CLOEXEC, 0);
  if (copy < 0) throw sysError("fcntl", fd);
  return copy;
}
