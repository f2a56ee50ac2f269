import { constants } from "node:os";
import { checked } from "./call.ts";
import { AF_INET, AF_INET6, POLLOUT, SO_ERROR, SOL_SOCKET } from "./constants.ts";
import { SysError } from "./error.ts";
import { libc } from "./ffi.ts";

const connectFunction = libc.function("connect", ["i32", "bytes", "u32"], "i32");
const pollFunction = libc.function("poll", ["bytes", "i64", "i32"], "i32");
const getsockoptFunction = libc.function("getsockopt", ["i32", "i32", "i32", "bytes", "bytes"], "i32");

/** What connect(2) on a non-blocking socket came to at once. */
export type Connecting = "connected" | "in-progress";

/**
 * Connects a non-blocking socket. One that is in progress is done when {@link isWritable} says so, well or with the
 * error that {@link pendingError} gives.
 *
 * @see https://man7.org/linux/man-pages/man2/connect.2.html
 */
export function connect(sockfd: number, address: Buffer): Connecting {
  const result = connectFunction(sockfd, address, address.length);
  if (result.value === -1 && result.errno === constants.errno.EINPROGRESS) return "in-progress";
  checked("connect", result);
  return "connected";
}

/**
 * Whether a write to `fd` would not wait now; `POLLERR` and `POLLHUP` count as yes. Does not wait itself.
 *
 * @see https://man7.org/linux/man-pages/man2/poll.2.html
 */
export function isWritable(fd: number): boolean {
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd, 0);
  pollfd.writeInt16LE(POLLOUT, 4);
  const result = pollFunction(pollfd, 1, 0);
  if (result.value === -1 && result.errno === constants.errno.EINTR) return false;
  return checked("poll", result) > 0;
}

/**
 * Takes the error that a socket holds; undefined where there is none.
 *
 * @see https://man7.org/linux/man-pages/man7/socket.7.html (SO_ERROR)
 */
export function pendingError(sockfd: number, syscall: string): SysError | undefined {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  checked("getsockopt", getsockoptFunction(sockfd, SOL_SOCKET, SO_ERROR, value, length));
  const errno = value.readInt32LE();
  return errno === 0 ? undefined : new SysError(syscall, errno);
}

/**
 * `struct sockaddr_in` of four bytes and a port.
 *
 * @see https://man7.org/linux/man-pages/man7/ip.7.html
 */
export function sockaddrIn(address: readonly [number, number, number, number], port: number): Buffer {
  const sockaddr = Buffer.alloc(16);
  sockaddr.writeUInt16LE(AF_INET, 0);
  sockaddr.writeUInt16BE(port, 2);
  sockaddr.set(address, 4);
  return sockaddr;
}

/**
 * `struct sockaddr_in6` of sixteen bytes and a port; no flow label, no scope.
 *
 * @see https://man7.org/linux/man-pages/man7/ipv6.7.html
 */
export function sockaddrIn6(address: Uint8Array, port: number): Buffer {
  const sockaddr = Buffer.alloc(28);
  sockaddr.writeUInt16LE(AF_INET6, 0);
  sockaddr.writeUInt16BE(port, 2);
  sockaddr.set(address.subarray(0, 16), 8);
  return sockaddr;
}
