import { AF_UNIX, MSG, O, SOCK } from "./constants.ts";
import { E, errno, failure, sysError } from "./error.ts";
import { close, open } from "./files.ts";
import { C } from "./libc.ts";
import type { Bytes } from "./memory.ts";
import { bytes, copy, ints, sizeOf, toNumber, toText } from "./memory.ts";
import type { CmsgFds, Iovec, Msghdr, SockaddrUn } from "./structs.ts";
import { struct } from "./structs.ts";

const maxSocketPathBytes = 107;
const cmsgHeaderBytes = 16;
const solSocket = 1;
const scmRights = 1;
/** The most descriptors that {@link sendWithFds} passes at once. */
export const maxPassedFds = 32;

const pair = ints(2);

/** A listening unix socket at `path`, mode 0600, that replaces what was there; the path may be of any length. */
export function listenUnix(path: string, backlog: number): number {
  const [folder, name] = string.match(path, "^(.*)/([^/]+)$");
  if (folder === undefined || name === undefined)
    throw failure("invalid-argument", `socket path ${path}: not absolute`);
  const dir = open(folder === "" ? "/" : folder, O.PATH | O.DIRECTORY);
  C.unlinkat(dir, name, 0);
  const fd = C.socket(AF_UNIX, SOCK.STREAM | SOCK.NONBLOCK | SOCK.CLOEXEC, 0);
  if (fd < 0) throw sysError("socket");
  // Always through the folder's descriptor: sun_path holds 108 bytes, a state folder may be deeper.
  const address = unixAddress(`/proc/self/fd/${dir}/${name}`, path);
  const mask = C.umask(0o177);
  const bound = C.bind(fd, address, sizeOf(address));
  const number = errno();
  C.umask(mask);
  close(dir);
  if (bound < 0) throw sysError("bind", path, number);
  if (C.listen(fd, backlog) < 0) throw sysError("listen", path);
  return fd;
}

function unixAddress(path: string, shown: string): SockaddrUn & Bytes {
  if (path.length > maxSocketPathBytes)
    throw failure("invalid-argument", `socket path ${shown}: name too long`);
  const address = struct<SockaddrUn>("sockaddr_un_buf");
  address.family = AF_UNIX;
  copy(address.path, path, path.length);
  return address as SockaddrUn & Bytes;
}

/** accept4(2), non-blocking and close-on-exec; `undefined` where nobody waits. */
export function accept(fd: number): number | undefined {
  const client = C.accept4(fd, undefined, undefined, SOCK.NONBLOCK | SOCK.CLOEXEC);
  if (client >= 0) return client;
  const number = errno();
  // ECONNABORTED and its like concern the client that is gone.
  if (number === E.MFILE || number === E.NFILE || number === E.BADF || number === E.INVAL) {
    throw sysError("accept", fd, number);
  }
  return undefined;
}

/** A connected pair of sockets, close-on-exec. */
export function socketPair(type: number): LuaMultiReturn<[number, number]> {
  if (C.socketpair(AF_UNIX, type | SOCK.CLOEXEC, 0, pair) < 0) throw sysError("socketpair");
  return $multi(pair[0] as number, pair[1] as number);
}

/** Sends one message with descriptors (SCM_RIGHTS, unix(7)); blocks while the socket is full. */
export function sendWithFds(socket: number, text: string, fds: readonly number[]): void {
  const payload = bytes(text.length + 1);
  copy(payload, text, text.length);
  const message = messageOf(payload, text.length);
  const control = struct<CmsgFds>("cmsg_fds");
  if (fds.length > 0) {
    control.len = cmsgHeaderBytes + 4 * fds.length;
    control.level = solSocket;
    control.type = scmRights;
    for (let i = 0; i < fds.length; i++) control.fds[i] = fds[i] as number;
    message.header.control = control;
    message.header.controllen = cmsgHeaderBytes + 8 * Math.ceil(fds.length / 2);
  }
  for (;;) {
    if (C.sendmsg(socket, message.header, MSG.NOSIGNAL) >= 0) return;
    const number = errno();
    if (number !== E.INTR) throw sysError("sendmsg", socket, number);
  }
}

/** What {@link receiveWithFds} got; an empty text without descriptors is the end. */
export interface Received {
  readonly text: string;
  readonly fds: number[];
}

/**
 * Receives one message of a SEQPACKET socket, of at most `maxBytes`, with its descriptors; `undefined` is not ready
 * (EAGAIN). Its length is asked first, so that memory is had for what came and not for what might.
 */
export function receiveWithFds(socket: number, maxBytes: number): Received | undefined {
  const length = C.recv(socket, undefined, 0, MSG.PEEK | MSG.TRUNC);
  if (length < 0 && errno() === E.AGAIN) return undefined;
  if (length > maxBytes) throw failure("internal", `message of ${length} bytes, ${maxBytes} are allowed`);
  const room = Math.max(length, 1);
  const payload = bytes(room);
  const message = messageOf(payload, room);
  const control = struct<CmsgFds>("cmsg_fds");
  message.header.control = control;
  message.header.controllen = sizeOf(control);
  for (;;) {
    const got = C.recvmsg(socket, message.header, MSG.CMSG_CLOEXEC);
    if (got >= 0) return { text: toText(payload, got), fds: receivedFds(message.header, control) };
    const number = errno();
    if (number === E.AGAIN) return undefined;
    if (number !== E.INTR) throw sysError("recvmsg", socket, number);
  }
}

function receivedFds(header: Msghdr, control: CmsgFds): number[] {
  const fds: number[] = [];
  if (toNumber(header.controllen) < cmsgHeaderBytes || control.type !== scmRights) return fds;
  const count = (toNumber(control.len) - cmsgHeaderBytes) / 4;
  for (let i = 0; i < count; i++) fds.push(control.fds[i] as number);
  return fds;
}

interface Message {
  readonly header: Msghdr & Bytes;
  /** Held so that the garbage collector leaves it alone. */
  readonly vector: Iovec;
}

function messageOf(payload: Bytes, count: number): Message {
  const vector = struct<Iovec>("iovec_buf");
  vector.base = payload;
  vector.len = count;
  const header = struct<Msghdr>("msghdr_buf") as Msghdr & Bytes;
  header.iov = vector;
  header.iovlen = 1;
  return { header, vector };
}
