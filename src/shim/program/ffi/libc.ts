import * as ffi from "ffi";
import type { Bytes, Int64, Ints, Pointer, Strings } from "ffi";
import type * as s from "./structs.ts";
import "./structs.ts";

// Results are declared `int`, also where C says long or ssize_t: counts here stay below 2^31, and an int arrives as a
// Lua number where a long would be a boxed 64-bit object. Variadic functions and raw system calls get one fixed
// prototype per use through a symbol redirect, so that no argument needs a cast.
const declarations = `
int open(const char *path, int flags, unsigned mode);
int openat(int dir, const char *path, int flags, unsigned mode);
int close(int fd);
int read(int fd, void *buf, size_t count);
int write(int fd, const void *buf, size_t count);
int pwrite(int fd, const void *buf, size_t count, int64_t offset);
int64_t lseek(int fd, int64_t offset, int whence);
int ftruncate(int fd, int64_t length);
int fallocate(int fd, int mode, int64_t offset, int64_t length);
int fdatasync(int fd);
int statx(int dir, const char *path, int flags, unsigned mask, statx_buf *buf);
int fstatfs(int fd, statfs_buf *buf);
int mkdirat(int dir, const char *path, unsigned mode);
int mknodat(int dir, const char *path, unsigned mode, uint64_t dev);
int unlinkat(int dir, const char *path, int flags);
int symlinkat(const char *target, int dir, const char *path);
int readlinkat(int dir, const char *path, void *buf, size_t size);
int renameat(int fromdir, const char *from, int todir, const char *to);
int fchmod(int fd, unsigned mode);
int fchmodat(int dir, const char *path, unsigned mode, int flags);
int fchownat(int dir, const char *path, unsigned uid, unsigned gid, int flags);
int setxattr(const char *path, const char *name, const char *value, size_t size, int flags);
int lsetxattr(const char *path, const char *name, const char *value, size_t size, int flags);
int dup3(int from, int to, int flags);
int pipe2(int fds[2], int flags);
int fcntl(int fd, int command, long value);
int ioctl(int fd, unsigned long request, void *argument);
int ioctl_long(int fd, unsigned long request, long argument) __asm__("ioctl");
int memfd_create(const char *name, unsigned flags);
int sendfile(int out, int in, int64_t *offset, size_t count);
int splice(int in, int64_t *inoff, int out, int64_t *outoff, size_t count, unsigned flags);
int tee(int in, int out, size_t count, unsigned flags);
void *fdopendir(int fd);
dirent64_buf *readdir64(void *dir);
int closedir(void *dir);
int chdir(const char *path);
int fchdir(int fd);
int chroot(const char *path);
unsigned umask(unsigned mask);
int flock(int fd, int operation);
int faccessat(int dir, const char *path, int mode, int flags);

int fork(void);
int execve(const char *path, const char *const *argv, const char *const *envp);
int execveat(int dir, const char *path, const char *const *argv, const char *const *envp, int flags);
void _exit(int status);
int waitpid(int pid, int *status, int options);
int kill(int pid, int signal);
int getpid(void);
int getppid(void);
int setsid(void);
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int prctl_name(int option, const char *name) __asm__("prctl");
int setns(int fd, int type);
int unshare(int flags);
int setresuid(unsigned real, unsigned effective, unsigned saved);
int setresgid(unsigned real, unsigned effective, unsigned saved);
int setgroups(size_t size, const unsigned *groups);
int prlimit(int pid, int resource, const rlimit64_buf *value, rlimit64_buf *old);
int sched_setaffinity(int pid, size_t size, const void *mask);
int personality(unsigned long persona);
int sethostname(const char *name, size_t length);
int setdomainname(const char *name, size_t length);
int nice_getpriority(int which, int who) __asm__("getpriority");

int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data);
int umount2(const char *target, int flags);

int socket(int domain, int type, int protocol);
int bind(int fd, const sockaddr_un_buf *address, unsigned length);
int listen(int fd, int backlog);
int accept4(int fd, void *address, void *length, int flags);
int socketpair(int domain, int type, int protocol, int fds[2]);
int sendmsg(int fd, const msghdr_buf *message, int flags);
int recvmsg(int fd, msghdr_buf *message, int flags);
int recv(int fd, void *buf, size_t count, int flags);
int send(int fd, const void *buf, size_t count, int flags);
int getsockopt(int fd, int level, int name, void *value, unsigned *length);
int shutdown(int fd, int how);

int epoll_create1(int flags);
int epoll_ctl(int epfd, int op, int fd, epoll_event_buf *event);
int epoll_wait(int epfd, epoll_event_buf *events, int max, int timeout);
int poll(pollfd_buf *fds, unsigned long count, int timeout);
int signalfd(int fd, const sigset_buf *mask, int flags);
int sigemptyset(sigset_buf *set);
int sigfillset(sigset_buf *set);
int sigaddset(sigset_buf *set, int signal);
int sigprocmask(int how, const sigset_buf *set, sigset_buf *old);
void signal_default(int signal, void *handler) __asm__("signal");
int sigwaitinfo(const sigset_buf *set, siginfo_buf *info);
int clock_gettime(int clock, timespec64 *time);
int clock_nanosleep(int clock, int flags, const timespec64 *request, timespec64 *rest);
const char *strerror(int number);
int setenv(const char *name, const char *value, int overwrite);
int malloc_trim(size_t pad);
extern char **environ;

int sys_getcwd(long nr, void *buf, unsigned long size) __asm__("syscall");
int sys_pivot_root(long nr, const char *newRoot, const char *putOld) __asm__("syscall");
int sys_capget(long nr, cap_header *header, cap_data *data) __asm__("syscall");
int sys_capset(long nr, const cap_header *header, const cap_data *data) __asm__("syscall");
int sys_keyctl(long nr, long op, long a, long b, long c) __asm__("syscall");
int sys_keyctl_name(long nr, long op, const char *name) __asm__("syscall");
int sys_ioprio_set(long nr, long which, long who, long priority) __asm__("syscall");
int sys_seccomp(long nr, long op, unsigned long flags, const sock_fprog *program) __asm__("syscall");
int sys_bpf(long nr, long command, void *attributes, unsigned long size) __asm__("syscall");
int sys_sched_setattr(long nr, long pid, const sched_attr *attributes, unsigned long flags) __asm__("syscall");
int sys_pidfd_send_signal(long nr, long fd, long signal, const void *info, unsigned long flags) __asm__("syscall");
int sys_pidfd_open(long nr, long pid, unsigned long flags) __asm__("syscall");
int sys_clone3(long nr, clone_args *arguments, unsigned long size) __asm__("syscall");
int sys_close_range(long nr, unsigned long first, unsigned long last, unsigned long flags) __asm__("syscall");
int sys_openat2(long nr, long dir, const char *path, const open_how *how, unsigned long size) __asm__("syscall");
int sys_open_tree(long nr, long dir, const char *path, unsigned long flags) __asm__("syscall");
int sys_move_mount(long nr, long fromdir, const char *from, long todir, const char *to, unsigned long flags) __asm__("syscall");
int sys_fsopen(long nr, const char *type, unsigned long flags) __asm__("syscall");
int sys_fsconfig(long nr, long fd, unsigned long command, const char *key, const char *value, long aux) __asm__("syscall");
int sys_fsmount(long nr, long fd, unsigned long flags, unsigned long attributes) __asm__("syscall");
int sys_mount_setattr(long nr, long dir, const char *path, unsigned long flags, const mount_attr *attributes, unsigned long size) __asm__("syscall");
`;
ffi.cdef(declarations);

/**
 * libc and raw system calls, named and ordered as their man pages; each returns -1 and sets errno on failure.
 *
 * @noSelf
 */
export interface Libc {
  open(path: string, flags: number, mode: number): number;
  openat(dir: number, path: string, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, buf: Pointer, count: number): number;
  write(fd: number, buf: Pointer | string, count: number): number;
  pwrite(fd: number, buf: Pointer | string, count: number, offset: number): number;
  lseek(fd: number, offset: number, whence: number): Int64;
  ftruncate(fd: number, length: number): number;
  fallocate(fd: number, mode: number, offset: number, length: number): number;
  fdatasync(fd: number): number;
  statx(dir: number, path: string, flags: number, mask: number, buf: s.Struct<s.Statx>): number;
  fstatfs(fd: number, buf: s.Struct<s.Statfs>): number;
  mkdirat(dir: number, path: string, mode: number): number;
  mknodat(dir: number, path: string, mode: number, dev: number): number;
  unlinkat(dir: number, path: string, flags: number): number;
  symlinkat(target: string, dir: number, path: string): number;
  readlinkat(dir: number, path: string, buf: Pointer, size: number): number;
  renameat(fromdir: number, from: string, todir: number, to: string): number;
  fchmod(fd: number, mode: number): number;
  fchmodat(dir: number, path: string, mode: number, flags: number): number;
  fchownat(dir: number, path: string, uid: number, gid: number, flags: number): number;
  setxattr(path: string, name: string, value: string, size: number, flags: number): number;
  lsetxattr(path: string, name: string, value: string, size: number, flags: number): number;
  dup3(from: number, to: number, flags: number): number;
  pipe2(fds: Ints, flags: number): number;
  fcntl(fd: number, command: number, value: number): number;
  ioctl(fd: number, request: number, argument: Pointer | undefined): number;
  ioctl_long(fd: number, request: number, argument: number): number;
  memfd_create(name: string, flags: number): number;
  sendfile(out: number, input: number, offset: Pointer | undefined, count: number): number;
  splice(
    input: number,
    inoff: Pointer | undefined,
    out: number,
    outoff: Pointer | undefined,
    count: number,
    flags: number,
  ): number;
  tee(input: number, out: number, count: number, flags: number): number;
  fdopendir(fd: number): Pointer | undefined;
  readdir64(dir: Pointer): s.Dirent | undefined;
  closedir(dir: Pointer): number;
  chdir(path: string): number;
  fchdir(fd: number): number;
  chroot(path: string): number;
  umask(mask: number): number;
  flock(fd: number, operation: number): number;
  faccessat(dir: number, path: string, mode: number, flags: number): number;

  fork(): number;
  execve(path: string, argv: Strings, envp: Strings): number;
  execveat(dir: number, path: string, argv: Strings, envp: Strings, flags: number): number;
  _exit(status: number): never;
  waitpid(pid: number, status: Ints | undefined, options: number): number;
  kill(pid: number, signal: number): number;
  getpid(): number;
  getppid(): number;
  setsid(): number;
  prctl(option: number, a: number, b: number, c: number, d: number): number;
  prctl_name(option: number, name: string): number;
  setns(fd: number, type: number): number;
  unshare(flags: number): number;
  setresuid(real: number, effective: number, saved: number): number;
  setresgid(real: number, effective: number, saved: number): number;
  setgroups(size: number, groups: Ints): number;
  prlimit(
    pid: number,
    resource: number,
    value: s.Struct<s.Rlimit> | undefined,
    old: s.Struct<s.Rlimit> | undefined,
  ): number;
  sched_setaffinity(pid: number, size: number, mask: Bytes): number;
  personality(persona: number): number;
  sethostname(name: string, length: number): number;
  setdomainname(name: string, length: number): number;

  mount(
    source: string | undefined,
    target: string,
    type: string | undefined,
    flags: number,
    data: string | undefined,
  ): number;
  umount2(target: string, flags: number): number;

  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: s.Struct<s.SockaddrUn>, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: Pointer | undefined, length: Pointer | undefined, flags: number): number;
  socketpair(domain: number, type: number, protocol: number, fds: Ints): number;
  sendmsg(fd: number, message: s.Struct<s.Msghdr>, flags: number): number;
  recvmsg(fd: number, message: s.Struct<s.Msghdr>, flags: number): number;
  recv(fd: number, buf: Pointer | undefined, count: number, flags: number): number;
  send(fd: number, buf: Pointer | string, count: number, flags: number): number;
  getsockopt(fd: number, level: number, name: number, value: Pointer, length: Ints): number;
  shutdown(fd: number, how: number): number;

  epoll_create1(flags: number): number;
  epoll_ctl(epfd: number, op: number, fd: number, event: s.Struct<s.EpollEvent>): number;
  epoll_wait(epfd: number, events: s.StructArray<s.EpollEvent>, max: number, timeout: number): number;
  poll(fds: s.StructArray<s.Pollfd>, count: number, timeout: number): number;
  signalfd(fd: number, mask: Pointer, flags: number): number;
  sigemptyset(set: Pointer): number;
  sigfillset(set: Pointer): number;
  sigaddset(set: Pointer, signal: number): number;
  sigprocmask(how: number, set: Pointer, old: Pointer | undefined): number;
  signal_default(signal: number, handler: undefined): void;
  sigwaitinfo(set: Pointer, info: s.Struct<s.Siginfo>): number;
  clock_gettime(clock: number, time: s.Struct<s.Timespec>): number;
  clock_nanosleep(
    clock: number,
    flags: number,
    request: s.Struct<s.Timespec>,
    rest: s.Struct<s.Timespec> | undefined,
  ): number;
  strerror(number: number): Pointer;
  malloc_trim(pad: number): number;
  environ: Pointer | undefined;

  sys_getcwd(nr: number, buf: Pointer, size: number): number;
  sys_pivot_root(nr: number, newRoot: string, putOld: string): number;
  sys_capget(nr: number, header: s.Struct<s.CapHeader>, data: s.StructArray<s.CapData>): number;
  sys_capset(nr: number, header: s.Struct<s.CapHeader>, data: s.StructArray<s.CapData>): number;
  sys_keyctl(nr: number, op: number, a: number, b: number, c: number): number;
  sys_keyctl_name(nr: number, op: number, name: string | undefined): number;
  sys_ioprio_set(nr: number, which: number, who: number, priority: number): number;
  sys_seccomp(nr: number, op: number, flags: number, program: s.Struct<s.SockFprog>): number;
  sys_bpf(nr: number, command: number, attributes: Pointer, size: number): number;
  sys_sched_setattr(nr: number, pid: number, attributes: s.Struct<s.SchedAttr>, flags: number): number;
  sys_pidfd_send_signal(
    nr: number,
    fd: number,
    signal: number,
    info: Pointer | undefined,
    flags: number,
  ): number;
  sys_pidfd_open(nr: number, pid: number, flags: number): number;
  sys_clone3(nr: number, args: s.Struct<s.CloneArgs>, size: number): number;
  sys_close_range(nr: number, first: number, last: number, flags: number): number;
  sys_openat2(nr: number, dir: number, path: string, how: s.Struct<s.OpenHow>, size: number): number;
  sys_open_tree(nr: number, dir: number, path: string, flags: number): number;
  sys_move_mount(nr: number, fromdir: number, from: string, todir: number, to: string, flags: number): number;
  sys_fsopen(nr: number, type: string, flags: number): number;
  sys_fsconfig(
    nr: number,
    fd: number,
    command: number,
    key: string | undefined,
    value: string | undefined,
    aux: number,
  ): number;
  sys_fsmount(nr: number, fd: number, flags: number, attributes: number): number;
  sys_mount_setattr(
    nr: number,
    dir: number,
    path: string,
    flags: number,
    attributes: s.Struct<s.MountAttr>,
    size: number,
  ): number;
}

/** The C library. Wrappers in this folder turn its failures into errors; call it directly where -1 is expected. */
export const C = ffi.C as Libc;

/**
 * Looks every function up: what the launcher has resolved, its children need not resolve, each for itself and in
 * memory of its own.
 */
export function resolveAll(): void {
  const table = C as unknown as Record<string, unknown>;
  for (const [name] of string.gmatch(declarations, "([%w_]+)%([^()]*%)")) {
    // `__asm__("name")` looks like a call as well, and is none of ours.
    if (name !== undefined && name !== "__asm__") assert(table[name]);
  }
}
