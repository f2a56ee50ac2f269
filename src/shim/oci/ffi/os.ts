import * as ffi from "ffi";
import { AF_UNIX, O, SOCK } from "../../program/ffi/constants.ts";
import { sysError } from "../../program/ffi/error.ts";
import { close, open } from "../../program/ffi/files.ts";
import { C } from "../../program/ffi/libc.ts";
import type { Pointer } from "../../program/ffi/memory.ts";
import { bytes, copy, sizeOf } from "../../program/ffi/memory.ts";
import type { Pollfd, SockaddrUn } from "../../program/ffi/structs.ts";
import { struct, structs } from "../../program/ffi/structs.ts";

ffi.cdef(`
char *realpath_new(const char *path, char *result) __asm__("realpath");
void free(void *pointer);
int connect(int fd, const sockaddr_un_buf *address, unsigned length);
int isatty(int fd);
int fchown(int fd, unsigned uid, unsigned gid);
int geteuid(void);
int mkfifo(const char *path, unsigned mode);
typedef struct { uint32_t iflag, oflag; uint8_t rest[120]; } termios_buf;
int tcgetattr(int fd, termios_buf *settings);
int tcsetattr(int fd, int action, const termios_buf *settings);
void cfmakeraw(termios_buf *settings);
`);

/** @noSelf */
interface Calls {
  realpath_new(path: string, result: undefined): Pointer | undefined;
  free(pointer: Pointer): void;
  connect(fd: number, address: SockaddrUn & Pointer, length: number): number;
  isatty(fd: number): number;
  fchown(fd: number, uid: number, gid: number): number;
  geteuid(): number;
  mkfifo(path: string, mode: number): number;
  tcgetattr(fd: number, settings: Pointer): number;
  tcsetattr(fd: number, action: number, settings: Pointer): number;
  cfmakeraw(settings: Pointer): void;
}

const calls = ffi.C as Calls;
const tcsaNow = 0;
const sameGroup = 0xffffffff;
/** 8192 CPUs, a bit each. */
const affinityBytes = 1024;
const onlcr = 4;
const tiocgwinsz = 0x5413;
/** What sun_path holds. */
const maxPathBytes = 107;

/** realpath(3); throws where a part of the path is missing. */
export function realPath(path: string): string {
  const found = calls.realpath_new(path, undefined);
  // A NULL pointer of LuaJIT equals nil without being it.
  if (found === undefined) throw sysError("open", path);
  const text = ffi.string(found);
  calls.free(found);
  return text;
}

/** connect(2) to a stream socket by its path, which may be of any length. */
export function connectUnix(path: string): number {
  const [folder, name] = string.match(path, "^(.*)/([^/]+)$");
  const dir = open(folder === undefined ? "." : folder === "" ? "/" : folder, O.PATH | O.DIRECTORY);
  const short = `/proc/self/fd/${dir}/${name ?? path}`;
  const fd = C.socket(AF_UNIX, SOCK.STREAM | SOCK.CLOEXEC, 0);
  if (fd < 0) throw sysError("socket");
  const address = struct<SockaddrUn>("sockaddr_un_buf");
  address.family = AF_UNIX;
  copy(address.path, short, Math.min(short.length, maxPathBytes));
  const done = calls.connect(fd, address, sizeOf(address));
  if (done < 0) throw sysError("connect", path);
  close(dir);
  return fd;
}

/** geteuid(2). */
export function effectiveUid(): number {
  return calls.geteuid();
}

/** mkfifo(3), for root alone. */
export function makeFifo(path: string): void {
  if (calls.mkfifo(path, 0o600) < 0) throw sysError("mkfifo", path);
}

/** isatty(3). */
export function isTerminal(fd: number): boolean {
  return calls.isatty(fd) === 1;
}

/** fchown(2) to a user; what can't change hands stays. */
export function tryChown(fd: number, uid: number): void {
  calls.fchown(fd, uid, sameGroup);
}

/** All CPUs that the cgroup allows, whatever this process was started with: the container's, and not its caller's. */
export function resetAffinity(): void {
  const mask = bytes(affinityBytes);
  for (let index = 0; index < affinityBytes; index++) mask[index] = 0xff;
  C.sched_setaffinity(0, affinityBytes, mask);
}

/** A terminal in raw mode, to be put back by {@link restoreTerminal}. */
export function makeRaw(fd: number): Pointer {
  const before = struct("termios_buf");
  if (calls.tcgetattr(fd, before) < 0) throw sysError("tcgetattr", fd);
  const raw = struct("termios_buf");
  copy(raw, before, sizeOf(before));
  calls.cfmakeraw(raw);
  if (calls.tcsetattr(fd, tcsaNow, raw) < 0) throw sysError("tcsetattr", fd);
  return before;
}

/** Has a terminal's output go through as it is, without a carriage return before each line's end. */
export function clearNewlineMapping(fd: number): void {
  const settings = struct<{ oflag: number }>("termios_buf");
  if (calls.tcgetattr(fd, settings) < 0) throw sysError("tcgetattr", fd);
  settings.oflag = settings.oflag & ~onlcr;
  if (calls.tcsetattr(fd, tcsaNow, settings) < 0) throw sysError("tcsetattr", fd);
}

export function restoreTerminal(fd: number, before: Pointer): void {
  calls.tcsetattr(fd, tcsaNow, before);
}

/** TIOCGWINSZ; undefined for what is no terminal. */
export function terminalSize(fd: number): { readonly rows: number; readonly cols: number } | undefined {
  const size = struct<{ rows: number; cols: number }>("winsize_buf");
  if (C.ioctl(fd, tiocgwinsz, size) < 0) return undefined;
  return { rows: size.rows, cols: size.cols };
}

/** poll(2) for input; true where there is some, or the end, within the time. */
export function waitReadable(fd: number, timeoutMs: number): boolean {
  const polled = structs<Pollfd>("pollfd_buf", 1);
  const one = polled[0] as Pollfd;
  one.fd = fd;
  one.events = 1;
  return C.poll(polled, 1, timeoutMs) > 0;
}
