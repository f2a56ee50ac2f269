import * as ffi from "ffi";
import type { Bytes } from "ffi";
import { openInflater } from "./inflate.ts";
import { advance, fail } from "./libc.ts";

ffi.cdef(`
  typedef struct { const void *src; size_t size; size_t pos; } berth_zstd_in;
  typedef struct { void *dst; size_t size; size_t pos; } berth_zstd_out;
  void *ZSTD_createDStream(void);
  size_t ZSTD_decompressStream(void *stream, berth_zstd_out *output, berth_zstd_in *input);
  unsigned ZSTD_isError(size_t code);
  const char *ZSTD_getErrorName(size_t code);
`);

interface ZstdBuffer {
  src: Bytes;
  dst: Bytes;
  size: number;
  pos: number;
}
/** @noSelf */
interface Zstd {
  readonly ZSTD_createDStream: () => unknown;
  readonly ZSTD_decompressStream: (stream: unknown, output: ZstdBuffer, input: ZstdBuffer) => number;
  readonly ZSTD_isError: (code: number) => number;
  readonly ZSTD_getErrorName: (code: number) => Bytes;
}

// Needed by dpkg, so every Debian has it; loaded before the process is confined.
const zstd = ffi.load("libzstd.so.1") as Zstd;

/** Bytes of each buffer: of compressed input and of tar. */
export const bufferBytes = 256 * 1024;

/** Reads compressed bytes into the buffer; 0 at the end. */
export type Read = (buffer: Bytes, count: number) => number;

/** A stream of tar bytes: each call overwrites what the one before gave. @noSelf */
export interface Chunks {
  readonly buffer: Bytes;
  /** Fills the buffer's beginning and returns the count; 0 at the end. */
  readonly next: () => number;
}

/** Tells gzip, zstd and plain tar apart by their first bytes, whatever the manifest claims. */
export function decompress(read: Read): Chunks {
  const input = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  let count = 0;
  while (count < 4) {
    const more = read(advance(input, count), bufferBytes - count);
    if (more === 0) break;
    count += more;
  }
  if (count >= 2 && input[0] === 0x1f && input[1] === 0x8b) return gunzip(read, input, count);
  if (count >= 4 && isZstd(input)) return unzstd(read, input, count);
  return plain(read, input, count);
}

/** A zstd frame (RFC 8878 3.1.1), or a skippable one (3.1.2), which zstd:chunked may begin with. */
function isZstd(input: Bytes): boolean {
  if (input[0] === 0x28) return input[1] === 0xb5 && input[2] === 0x2f && input[3] === 0xfd;
  return (input[0] ?? 0) >> 4 === 5 && input[1] === 0x2a && input[2] === 0x4d && input[3] === 0x18;
}

function plain(read: Read, input: Bytes, first: number): Chunks {
  let pending = first;
  return {
    buffer: input,
    next: () => {
      if (pending === 0) return read(input, bufferBytes);
      const count = pending;
      pending = 0;
      return count;
    },
  };
}

/** Members may follow each other, as in eStargz and pigz output. */
function gunzip(read: Read, input: Bytes, first: number): Chunks {
  const { stream, step: inflate, reset } = openInflater();
  const output = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  stream.next_in = input;
  stream.avail_in = first;
  let ended = false;
  const refill = (): boolean => {
    const count = read(input, bufferBytes);
    stream.next_in = input;
    stream.avail_in = count;
    return count > 0;
  };
  /** Inflates once; false at the end of the last member. Output may be held back after all input is taken. */
  const step = (): boolean => {
    if (ended) {
      if (stream.avail_in === 0 && !refill()) return false;
      reset();
    }
    ended = inflate();
    if (!ended && stream.avail_in === 0 && stream.avail_out > 0 && !refill())
      fail("format", "the gzip stream is truncated");
    return true;
  };
  return {
    buffer: output,
    next: () => {
      stream.next_out = output;
      stream.avail_out = bufferBytes;
      while (stream.avail_out > 0 && step());
      return bufferBytes - stream.avail_out;
    },
  };
}

function unzstd(read: Read, input: Bytes, first: number): Chunks {
  const stream = zstd.ZSTD_createDStream();
  const output = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  const from = ffi.new("berth_zstd_in", input, first, 0) as ZstdBuffer;
  const to = ffi.new("berth_zstd_out", output, bufferBytes, 0) as ZstdBuffer;
  let available = first;
  let consumed = 0;
  let frameOpen = true;
  const refill = (): boolean => {
    available = read(input, bufferBytes);
    consumed = 0;
    return available > 0;
  };
  const step = (): boolean => {
    if (!frameOpen && consumed === available && !refill()) return false;
    from.size = available;
    from.pos = consumed;
    const result = zstd.ZSTD_decompressStream(stream, to, from);
    if (zstd.ZSTD_isError(result) !== 0) {
      fail("format", `the zstd stream is damaged: ${ffi.string(zstd.ZSTD_getErrorName(result))}`);
    }
    consumed = tonumber(from.pos) ?? 0;
    frameOpen = tonumber(result) !== 0;
    const starved = frameOpen && consumed === available && (tonumber(to.pos) ?? 0) < bufferBytes;
    if (starved && !refill()) fail("format", "the zstd stream is truncated");
    return true;
  };
  return {
    buffer: output,
    next: () => {
      to.pos = 0;
      while ((tonumber(to.pos) ?? 0) < bufferBytes && step());
      return tonumber(to.pos) ?? 0;
    },
  };
}
