import * as ffi from "ffi";
import { MSG } from "./constants.ts";
import { sysError } from "./error.ts";
import { C } from "./libc.ts";
import type { Bytes, Pointer } from "./memory.ts";
import { toNumber } from "./memory.ts";
import type { Msghdr, Struct } from "./structs.ts";
import { struct } from "./structs.ts";

// Addresses pass as numbers (they are below 2^53) and results as ints, so that no call here leaves garbage behind: with
// the JIT off every pointer would be an object. Of memchr's result the low half is enough to know the place.
ffi.cdef(`
int read_at(int fd, uintptr_t buf, size_t count) __asm__("read");
int memchr_low(uintptr_t start, int byte, size_t count) __asm__("memchr");
int memmove_at(uintptr_t to, uintptr_t from, size_t count) __asm__("memmove");
uint8_t *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
int madvise_at(uintptr_t address, size_t length, int advice) __asm__("madvise");
`);

/** @noSelf */
interface Calls {
  read_at(fd: number, buf: number, count: number): number;
  memchr_low(this: void, start: number, byte: number, count: number): number;
  memmove_at(to: number, from: number, count: number): number;
  mmap(
    address: undefined,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): Bytes;
  madvise_at(address: number, length: number, advice: number): number;
}

const calls = ffi.C as Calls;

const memchrLow = calls.memchr_low;

const readWrite = 3;
const privateAnonymous = 0x22;
const dontNeed = 4;
/** (void *)-1, rounded. */
const mapFailed = 2 ** 63;
const wordRange = 0x100000000;

/** Memory outside of Lua's heap: costs nothing until it is touched, and can be handed back. */
export interface Region {
  readonly memory: Bytes;
  readonly address: number;
  readonly length: number;
}

/** mmap(2) of zeroed private memory; it is never unmapped. */
export function mapRegion(length: number): Region {
  const memory = calls.mmap(undefined, length, readWrite, privateAnonymous, -1, 0);
  const address = addressOf(memory);
  if (address >= mapFailed) throw sysError("mmap");
  return { memory, address, length };
}

/** Gives the memory back to the kernel; it reads as zeros afterwards. */
export function discardRegion(region: Region): void {
  calls.madvise_at(region.address, region.length, dontNeed);
}

/** Where a pointer points, as a number. */
export function addressOf(pointer: Pointer): number {
  return toNumber(ffi.cast("uintptr_t", pointer));
}

/** read(2) to an address. */
export function readAt(fd: number, address: number, count: number): number {
  return calls.read_at(fd, address, count);
}

/** memmove(3). */
export function moveMemory(to: number, from: number, count: number): void {
  calls.memmove_at(to, from, count);
}

/** A message put together from pieces of memory (struct iovec), without copying them. */
export class Gather {
  private readonly vector: Pointer & Record<number, number>;
  private readonly message: Struct<Msghdr>;
  private readonly maxPieces: number;
  private words = 0;
  /** Bytes of all pieces. */
  bytes = 0;

  constructor(maxPieces: number) {
    this.maxPieces = maxPieces;
    this.vector = ffi.new<Pointer & Record<number, number>>("uint64_t[?]", maxPieces * 2);
    this.message = struct<Msghdr>("msghdr_buf");
    this.message.iov = ffi.cast<Pointer>("iovec_buf *", this.vector);
  }

  add(address: number, count: number): void {
    const { vector, words } = this;
    vector[words] = address;
    vector[words + 1] = count;
    this.words = words + 2;
    this.bytes = this.bytes + count;
  }

  /**
   * Adds lines from `address` on, newline included, each behind the same prefix: as many as there are whole ones of at
   * most `maxLine` bytes without it, as fit into `maxBytes` and into the vector. Returns their bytes. One loop with
   * nothing but locals: every line of every log passes here.
   */
  addLines(
    address: number,
    count: number,
    prefix: number,
    prefixBytes: number,
    maxLine: number,
    maxBytes: number,
  ): LuaMultiReturn<[bytes: number, lines: number]> {
    const { vector } = this;
    const maxWords = this.maxPieces * 2 - 4;
    const low = address % wordRange;
    let { words, bytes } = this;
    let at = 0;
    let lines = 0;
    while (words <= maxWords) {
      const found = memchrLow(address + at, 10, count - at);
      if (found === 0) break;
      const length = ((found - low) % wordRange) + 1 - at;
      if (length > maxLine + 1 || bytes + prefixBytes + length > maxBytes) break;
      vector[words] = prefix;
      vector[words + 1] = prefixBytes;
      vector[words + 2] = address + at;
      vector[words + 3] = length;
      words = words + 4;
      bytes = bytes + prefixBytes + length;
      at = at + length;
      lines = lines + 1;
    }
    this.words = words;
    this.bytes = bytes;
    return $multi(at, lines);
  }

  clear(): void {
    this.words = 0;
    this.bytes = 0;
  }

  /** sendmsg(2), without waiting; the number of bytes or -1. */
  send(socket: number): number {
    this.message.iovlen = this.words / 2;
    return C.sendmsg(socket, this.message, MSG.NOSIGNAL | MSG.DONTWAIT);
  }
}
