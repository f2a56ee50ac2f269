import { constants } from "node:os";
import { checked } from "./call.ts";
import { AF_NETLINK, AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_TRUNC } from "./constants.ts";
import { SysError } from "./error.ts";
import { libc } from "./ffi.ts";

const socketFunction = libc.function("socket", ["i32", "i32", "i32"], "i32");
const bindFunction = libc.function("bind", ["i32", "bytes", "u32"], "i32");
const setsockoptFunction = libc.function("setsockopt", ["i32", "i32", "i32", "bytes", "u32"], "i32");
const sendtoFunction = libc.function("sendto", ["i32", "bytes", "i64", "i32", "bytes", "u32"], "i64");
const recvFunction = libc.function("recv", ["i32", "bytes", "i64", "i32"], "i64");

/**
 * Opens a socket in the calling thread's network namespace; close it with closeSync of node:fs.
 *
 * @see https://man7.org/linux/man-pages/man2/socket.2.html
 */
export function socket(domain: number, type: number, protocol: number): number {
  return checked("socket", socketFunction(domain, type, protocol));
}

/** @see https://man7.org/linux/man-pages/man2/bind.2.html */
export function bind(sockfd: number, address: Buffer): void {
  checked("bind", bindFunction(sockfd, address, address.length));
}

/**
 * Sets an option that is an int.
 *
 * @see https://man7.org/linux/man-pages/man2/setsockopt.2.html
 */
export function setsockopt(sockfd: number, level: number, optname: number, value: number): void {
  const optval = Buffer.alloc(4);
  optval.writeInt32LE(value);
  checked("setsockopt", setsockoptFunction(sockfd, level, optname, optval, optval.length));
}

/**
 * Sends one datagram; without an address to the socket's peer (the kernel, for netlink).
 *
 * @see https://man7.org/linux/man-pages/man2/sendto.2.html
 */
export function sendto(sockfd: number, data: Buffer, flags: number, address: Buffer | null): number {
  const result = sendtoFunction(
    sockfd,
    data,
    data.length,
    flags | MSG_NOSIGNAL,
    address,
    address?.length ?? 0,
  );
  return checked("sendto", result);
}

/**
 * As {@link sendto}, on a thread of libuv's pool: the kernel does a netlink request's work inside the call, which
 * can wait for its lock and, to delete a link, for tens of milliseconds.
 */
export async function sendtoInThread(sockfd: number, data: Buffer, flags: number): Promise<number> {
  const result = await sendtoFunction.inThread(sockfd, data, data.length, flags | MSG_NOSIGNAL, null, 0);
  return checked("sendto", result);
}

/**
 * Takes one datagram without waiting; undefined where there is none. One that `buffer` cannot hold throws
 * `EMSGSIZE`.
 *
 * @see https://man7.org/linux/man-pages/man2/recv.2.html
 */
export function recv(sockfd: number, buffer: Buffer): Buffer | undefined {
  const { value, errno } = recvFunction(sockfd, buffer, buffer.length, MSG_DONTWAIT | MSG_TRUNC);
  if (value === -1 && (errno === constants.errno.EAGAIN || errno === constants.errno.EINTR)) return undefined;
  if (value === -1) throw new SysError("recv", errno);
  if (value > buffer.length) throw new SysError("recv", constants.errno.EMSGSIZE);
  return buffer.subarray(0, value);
}

/**
 * `struct sockaddr_un`; a leading `@` makes it an abstract name, as systemd writes them.
 *
 * @see https://man7.org/linux/man-pages/man7/unix.7.html
 */
export function sockaddrUn(name: string): Buffer {
  const isAbstract = name.startsWith("@");
  const path = Buffer.from(isAbstract ? `\0${name.slice(1)}` : `${name}\0`);
  if (path.length > 108) throw new SysError("sockaddr_un", constants.errno.ENAMETOOLONG, name);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, path]);
}

/**
 * `struct sockaddr_nl`; port id 0 is the kernel, or on bind the kernel's choice.
 *
 * @see https://man7.org/linux/man-pages/man7/netlink.7.html
 */
export function sockaddrNl(portId: number, groups: number): Buffer {
  const address = Buffer.alloc(12);
  address.writeUInt16LE(AF_NETLINK, 0);
  address.writeUInt32LE(portId, 4);
  address.writeUInt32LE(groups, 8);
  return address;
}
