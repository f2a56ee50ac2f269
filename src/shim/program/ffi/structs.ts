import * as ffi from "ffi";
import type { Int64, Ints, Pointer, Strings } from "ffi";

// Layouts that x86-64 and arm64 share (both LP64, little-endian); what differs between them is avoided: statx(2)
// instead of stat(2), clone3(2) instead of clone(2).
ffi.cdef(`
typedef struct { int64_t sec; int64_t nsec; } timespec64;
typedef struct { int64_t sec; uint32_t nsec; int32_t pad; } statx_time;
typedef struct {
  uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, pad;
  uint64_t ino, size, blocks, attributes_mask; statx_time atime, btime, ctime, mtime;
  uint32_t rdev_major, rdev_minor, dev_major, dev_minor; uint64_t mnt_id; uint64_t spare[13];
} statx_buf;
typedef struct {
  long type, bsize; uint64_t blocks, bfree, bavail, files, ffree; int fsid[2];
  long namelen, frsize, flags, spare[4];
} statfs_buf;
typedef struct { uint64_t ino; int64_t off; uint16_t reclen; uint8_t type; char name[256]; } dirent64_buf;
typedef struct { uint64_t flags, mode, resolve; } open_how;
typedef struct { uint64_t attr_set, attr_clr, propagation, userns_fd; } mount_attr;
typedef struct {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
} clone_args;
typedef struct { int64_t cur, max; } rlimit64_buf;
typedef struct { uint32_t version; int pid; } cap_header;
typedef struct { uint32_t effective, permitted, inheritable; } cap_data;
typedef struct { uint16_t code; uint8_t jt, jf; uint32_t k; } sock_filter;
typedef struct { uint16_t len; const void *filter; } sock_fprog;
typedef struct {
  uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t runtime, deadline, period;
} sched_attr;
typedef struct { int32_t signo, err, code, pid; uint32_t rest[28]; } siginfo_buf;
typedef struct { uint16_t family; char path[108]; } sockaddr_un_buf;
typedef struct { void *base; uint64_t len; } iovec_buf;
typedef struct {
  void *name; uint32_t namelen, pad; iovec_buf *iov; uint64_t iovlen; void *control; uint64_t controllen; int flags;
} msghdr_buf;
typedef struct { uint64_t len; int level, type; int fds[32]; } cmsg_fds;
typedef struct { int pid; uint32_t uid, gid; } ucred_buf;
typedef struct { uint16_t rows, cols, xpixel, ypixel; } winsize_buf;
typedef struct { char name[16]; uint16_t flags; uint8_t rest[22]; } ifreq_buf;
typedef struct { int fd; short events, revents; } pollfd_buf;
typedef struct { uint64_t bits[16]; } sigset_buf;
`);

// struct epoll_event is packed on x86-64 alone (sys/epoll.h).
ffi.cdef(
  (jit.arch as string) === "arm64"
    ? "typedef struct { uint32_t events, pad; uint32_t fd, high; } epoll_event_buf;"
    : "typedef struct __attribute__((packed)) { uint32_t events; uint32_t fd, high; } epoll_event_buf;",
);

/** A C array of structs; zero-based, unchecked; an element does not keep the array alive. */
export interface StructArray<T> extends Pointer {
  readonly [index: number]: T;
}

/** A single struct: it passes as a pointer to itself and owns its memory. */
export type Struct<T> = T & Pointer;

export interface Timespec {
  sec: number | Int64;
  nsec: number | Int64;
}

/** struct statx (statx(2)), the fields that are read here. */
export interface Statx {
  readonly mask: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly ino: Int64;
  readonly size: Int64;
  readonly attributes: Int64;
  readonly rdev_major: number;
  readonly rdev_minor: number;
  readonly dev_major: number;
  readonly dev_minor: number;
  readonly mnt_id: Int64;
}

/** struct statfs (statfs(2)). */
export interface Statfs {
  readonly type: Int64;
  readonly flags: Int64;
}

export interface Dirent {
  readonly type: number;
  readonly name: Pointer;
}

export interface OpenHow {
  flags: number;
  mode: number;
  resolve: number;
}

export interface MountAttr {
  attr_set: number;
  attr_clr: number;
  propagation: number;
  userns_fd: number;
}

export interface CloneArgs {
  flags: number;
  pidfd: number | Int64;
  exit_signal: number;
  cgroup: number;
}

export interface Rlimit {
  cur: number | Int64;
  max: number | Int64;
}

export interface CapHeader {
  version: number;
  pid: number;
}

/** One half (32 bits) of the three sets of capget(2). */
export interface CapData {
  effective: number;
  permitted: number;
  inheritable: number;
}

export interface SockFprog {
  len: number;
  filter: Pointer;
}

export interface SchedAttr {
  size: number;
  policy: number;
  flags: number;
  nice: number;
  priority: number;
  runtime: number;
  deadline: number;
  period: number;
}

export interface Siginfo {
  readonly signo: number;
  readonly code: number;
  readonly pid: number;
}

export interface SockaddrUn {
  family: number;
  readonly path: Pointer;
}

export interface Iovec {
  base: Pointer;
  len: number;
}

export interface Msghdr {
  iov: Pointer;
  iovlen: number;
  control: Pointer | undefined;
  controllen: number | Int64;
  flags: number;
}

export interface CmsgFds {
  len: number | Int64;
  level: number;
  type: number;
  readonly fds: Ints;
}

export interface Ucred {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Winsize {
  rows: number;
  cols: number;
}

export interface Ifreq {
  name: string;
  flags: number;
}

export interface Pollfd {
  fd: number;
  events: number;
  revents: number;
}

export interface EpollEvent {
  events: number;
  fd: number;
}

const types = new LuaTable<string, ffi.Type>();

/** The parsed form of a C type; parsed once. */
export function typeNamed(name: string): ffi.Type {
  const known = types.get(name);
  if (known !== undefined) return known;
  const parsed = ffi.typeof(name);
  types.set(name, parsed);
  return parsed;
}

/** A zeroed struct of the given cdef name. */
export function struct<T>(name: string): Struct<T> {
  return ffi.new<Struct<T>>(typeNamed(name));
}

/** A NULL-terminated `char *[]`, as execve(2) takes; hold `values` as long as the result is used. */
export function stringArray(values: readonly string[]): Strings {
  const array = ffi.new<Strings>("const char *[?]", values.length + 1);
  for (let i = 0; i < values.length; i++) array[i] = values[i];
  return array;
}

/** A zeroed array of structs. */
export function structs<T>(name: string, count: number): StructArray<T> {
  return ffi.new<StructArray<T>>(`${name}[?]`, count);
}
