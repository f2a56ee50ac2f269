import * as ffi from "ffi";
import type { Bytes } from "ffi";
import type { Chunks } from "./decompress.ts";
import type { Hash } from "./digest.ts";
import { advance, errnos, fail, failErrno, libc } from "./libc.ts";

/** The tar bytes of the layer, hashed and counted as they pass. @noSelf */
export interface Source {
  /** The next 512 bytes, valid until the next call; undefined at a clean end of the stream. */
  readonly block: () => Bytes | undefined;
  /** The next `count` bytes as a string; `what` names them where the stream ends too early. */
  readonly text: (count: number, what: string) => string;
  /** Moves the next `count` bytes to a file. */
  readonly copyTo: (fd: number, count: number, path: string) => void;
  readonly skip: (count: number, what: string) => void;
  /** Reads to the end, since the digest covers what follows the archive as well. */
  readonly drain: () => void;
  /** Bytes handed out so far. */
  readonly bytesTaken: () => number;
  readonly bytesRead: () => number;
}

const blockBytes = 512;

/** Reads a file descriptor whole; a signal does not end it. */
export function readFrom(fd: number): (buffer: Bytes, count: number) => number {
  return (buffer, count) => {
    for (;;) {
      const got = libc.read(fd, buffer, count);
      if (got >= 0) return got;
      if (ffi.errno() !== errnos.eintr) failErrno("read the layer");
    }
  };
}

/** Opens the stream of tar bytes; more than `maxBytes` of them are a zip bomb and end the work. */
export function openSource(chunks: Chunks, hash: Hash, maxBytes: number): Source {
  const scratch = ffi.new(`uint8_t[${blockBytes}]`) as Bytes;
  let at = 0;
  let end = 0;
  let total = 0;

  const refill = (): boolean => {
    end = chunks.next();
    at = 0;
    if (end === 0) return false;
    total += end;
    if (total > maxBytes)
      fail("limit", `the layer unpacks to more than ${string.format("%d", maxBytes)} bytes`);
    hash.update(chunks.buffer, end);
    return true;
  };

  /** Hands out at most `count` bytes of what is buffered. */
  const take = (count: number, what: string): number => {
    if (at === end && !refill()) fail("format", `the tar stream is truncated in ${what}`);
    const available = end - at;
    return available < count ? available : count;
  };

  const block = (): Bytes | undefined => {
    if (at === end && !refill()) return undefined;
    if (end - at >= blockBytes) {
      at += blockBytes;
      return advance(chunks.buffer, at - blockBytes);
    }
    let filled = 0;
    while (filled < blockBytes) {
      const count = take(blockBytes - filled, "a header");
      ffi.copy(advance(scratch, filled), advance(chunks.buffer, at), count);
      at += count;
      filled += count;
    }
    return scratch;
  };

  const text = (count: number, what: string): string => {
    const parts: string[] = [];
    let left = count;
    while (left > 0) {
      const part = take(left, what);
      parts.push(ffi.string(advance(chunks.buffer, at), part));
      at += part;
      left -= part;
    }
    return parts.length === 1 ? (parts[0] ?? "") : table.concat(parts);
  };

  const copyTo = (fd: number, count: number, path: string): void => {
    let left = count;
    while (left > 0) {
      // Before the address is taken: it may refill the buffer.
      const part = take(left, path);
      const written = libc.write(fd, advance(chunks.buffer, at), part);
      if (written < 0) {
        if (ffi.errno() !== errnos.eintr) failErrno(`write ${path}`);
      } else {
        at += written;
        left -= written;
      }
    }
  };

  const skip = (count: number, what: string): void => {
    let left = count;
    while (left > 0) {
      const part = take(left, what);
      at += part;
      left -= part;
    }
  };

  const drain = (): void => {
    while (refill());
  };

  return { block, text, copyTo, skip, drain, bytesTaken: () => total - (end - at), bytesRead: () => total };
}
