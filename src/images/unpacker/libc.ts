import * as ffi from "ffi";
import type { Bytes, Struct } from "ffi";

ffi.cdef(`
  typedef struct { long tv_sec; long tv_nsec; } berth_timespec;
  typedef struct { uint64_t ino; int64_t off; unsigned short reclen; unsigned char type; char name[256]; } berth_dirent;
  typedef struct { uint64_t rlim_cur; uint64_t rlim_max; } berth_rlimit;
  typedef struct { uint32_t version; int pid; } berth_cap_header;
  typedef struct { uint32_t effective, permitted, inheritable; } berth_cap_set;
  typedef struct { uint16_t code; uint8_t jt; uint8_t jf; uint32_t k; } berth_bpf;
  typedef struct { unsigned short len; berth_bpf *filter; } berth_bpf_program;
  typedef struct { uint64_t flags, mode, resolve; } berth_open_how;
  typedef struct { int64_t sec; uint32_t nsec; int32_t reserved; } berth_statx_time;
  typedef struct {
    uint32_t mask, blksize; uint64_t attributes; uint32_t nlink, uid, gid; uint16_t mode, reserved;
    uint64_t ino, size, blocks, attributes_mask; berth_statx_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor; uint64_t spare[14];
  } berth_statx;

  // read, write and readlinkat return an int here: counts stay below 2^31 and LuaJIT boxes every long.
  int read(int fd, void *buffer, size_t count);
  int write(int fd, const void *buffer, size_t count);
  int close(int fd);
  // Variadic in C; the same registers carry a fixed third argument on x86-64 and arm64.
  int open(const char *path, int flags, unsigned mode);
  int openat(int dirfd, const char *path, int flags, unsigned mode);
  int mkdirat(int dirfd, const char *path, unsigned mode);
  int mknodat(int dirfd, const char *path, unsigned mode, uint64_t dev);
  int linkat(int olddirfd, const char *oldpath, int newdirfd, const char *newpath, int flags);
  int symlinkat(const char *target, int newdirfd, const char *linkpath);
  int unlinkat(int dirfd, const char *path, int flags);
  int readlinkat(int dirfd, const char *path, uint8_t *buffer, size_t size);
  int fchownat(int dirfd, const char *path, unsigned owner, unsigned group, int flags);
  int fchmodat(int dirfd, const char *path, unsigned mode, int flags);
  int utimensat(int dirfd, const char *path, const berth_timespec *times, int flags);
  int fchown(int fd, unsigned owner, unsigned group);
  int fchmod(int fd, unsigned mode);
  int futimens(int fd, const berth_timespec *times);
  int64_t copy_file_range(int in, int64_t *in_at, int out, int64_t *out_at, size_t count, unsigned flags);
  int ftruncate(int fd, int64_t length);
  int64_t lseek(int fd, int64_t offset, int whence);
  int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags);
  int lsetxattr(const char *path, const char *name, const void *value, size_t size, int flags);
  int syncfs(int fd);
  int fchdir(int fd);
  int statx(int dirfd, const char *path, int flags, unsigned mask, berth_statx *status);
  int llistxattr(const char *path, uint8_t *list, size_t size);
  int lgetxattr(const char *path, const char *name, uint8_t *value, size_t size);
  void *opendir(const char *name);
  berth_dirent *readdir(void *dirp);
  int closedir(void *dirp);
  unsigned umask(unsigned mask);
  int unshare(int flags);
  int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
  int umount2(const char *target, int flags);
  int chdir(const char *path);
  int prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5);
  int setrlimit(int resource, const berth_rlimit *limit);
  long syscall(long number, ...);
  int getppid(void);
  char *strerror(int errnum);
  void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset);
  int mprotect(void *addr, size_t len, int prot);
  int munmap(void *addr, size_t length);
`);

/** Access and modification time. */
export type Timespecs = Record<0 | 1, { tv_sec: number; tv_nsec: number }>;
export type Directory = Struct<"DIR*">;

/** statx(2); fields of 64 bits are cdata until `tonumber`. */
export interface Statx {
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly ino: Struct<"uint64_t">;
  readonly size: Struct<"uint64_t">;
  readonly blocks: Struct<"uint64_t">;
  readonly mtime: { readonly sec: Struct<"int64_t">; readonly nsec: number };
  readonly rdev_major: number;
  readonly rdev_minor: number;
}

/**
 * The C library's calls, named and ordered as in their man pages. All return -1 (or null) with errno on failure.
 *
 * @noSelf
 */
export interface LibC {
  readonly read: (fd: number, buffer: Bytes, count: number) => number;
  readonly write: (fd: number, buffer: Bytes | string, count: number) => number;
  readonly close: (fd: number) => number;
  readonly open: (path: string, flags: number, mode: number) => number;
  readonly openat: (dirfd: number, path: string, flags: number, mode: number) => number;
  readonly mkdirat: (dirfd: number, path: string, mode: number) => number;
  readonly mknodat: (dirfd: number, path: string, mode: number, dev: number) => number;
  readonly linkat: (
    olddirfd: number,
    oldpath: string,
    newdirfd: number,
    newpath: string,
    flags: number,
  ) => number;
  readonly symlinkat: (target: string, newdirfd: number, linkpath: string) => number;
  readonly unlinkat: (dirfd: number, path: string, flags: number) => number;
  readonly readlinkat: (dirfd: number, path: string, buffer: Bytes, size: number) => number;
  readonly fchownat: (dirfd: number, path: string, owner: number, group: number, flags: number) => number;
  readonly fchmodat: (dirfd: number, path: string, mode: number, flags: number) => number;
  readonly utimensat: (dirfd: number, path: string, times: Timespecs, flags: number) => number;
  readonly fchown: (fd: number, owner: number, group: number) => number;
  readonly fchmod: (fd: number, mode: number) => number;
  readonly futimens: (fd: number, times: Timespecs) => number;
  readonly copy_file_range: (
    from: number,
    fromAt: undefined,
    to: number,
    toAt: undefined,
    count: number,
    flags: number,
  ) => Struct<"int64_t">;
  readonly ftruncate: (fd: number, length: number) => number;
  readonly lseek: (fd: number, offset: number, whence: number) => number;
  readonly fsetxattr: (fd: number, name: string, value: string, size: number, flags: number) => number;
  readonly lsetxattr: (path: string, name: string, value: string, size: number, flags: number) => number;
  readonly syncfs: (fd: number) => number;
  readonly fchdir: (fd: number) => number;
  readonly statx: (dirfd: number, path: string, flags: number, mask: number, status: Statx) => number;
  readonly llistxattr: (path: string, list: Bytes, size: number) => number;
  readonly lgetxattr: (path: string, name: string, value: Bytes | undefined, size: number) => number;
  readonly opendir: (name: string) => Directory | undefined;
  readonly readdir: (directory: Directory) => { readonly name: Bytes } | undefined;
  readonly closedir: (directory: Directory) => number;
  readonly umask: (mask: number) => number;
  readonly unshare: (flags: number) => number;
  readonly mount: (
    source: string,
    target: string,
    type: string | undefined,
    flags: number,
    data: undefined,
  ) => number;
  readonly umount2: (target: string, flags: number) => number;
  readonly chdir: (path: string) => number;
  readonly prctl: (option: number, arg2: number, arg3: number, arg4: number, arg5: number) => number;
  readonly setrlimit: (resource: number, limit: Struct<"berth_rlimit">) => number;
  readonly syscall: (number: unknown, ...args: unknown[]) => number;
  readonly getppid: () => number;
  readonly strerror: (errnum: number) => Bytes;
  readonly mmap: (
    address: undefined,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ) => Struct<"void*">;
  readonly mprotect: (address: Struct<"void*">, length: number, prot: number) => number;
  readonly munmap: (address: Struct<"void*">, length: number) => number;
}

export const libc = ffi.C as LibC;

/** `pointer + bytes` in C. */
export function advance(pointer: Bytes, bytes: number): Bytes {
  return plus(pointer, bytes);
}
declare const plus: LuaAddition<Bytes, number, Bytes>;

/** An argument of a variadic call, where a plain number would be passed as a double. */
export function long(value: number): unknown {
  return ffi.new("long", value);
}

export const atFdCwd = -100;
export const errnos = {
  enoent: 2,
  eio: 5,
  eintr: 4,
  eexist: 17,
  exdev: 18,
  enotdir: 20,
  eisdir: 21,
  einval: 22,
  enosys: 38,
  enotempty: 39,
  eloop: 40,
  enodata: 61,
  enotsup: 95,
} as const;

/** What the daemon turns into a RuntimeError: a call that failed, a malformed stream, or a limit that was met. */
export interface Failure {
  readonly kind: "errno" | "format" | "limit";
  readonly errno: number;
  readonly message: string;
}

/** Ends the work; caught once, in main. */
export function fail(kind: "format" | "limit", message: string): never {
  return error({ kind, errno: 0, message } satisfies Failure as unknown as string, 0);
}

/** Ends the work because of errno, which is read first. */
export function failErrno(what: string): never {
  const errno = ffi.errno();
  const message = `${what}: ${ffi.string(libc.strerror(errno))}`;
  return error({ kind: "errno", errno, message } satisfies Failure as unknown as string, 0);
}
