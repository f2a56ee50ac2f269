import * as ffi from "ffi";
import type { Bytes } from "ffi";
import { fail } from "./libc.ts";

ffi.cdef(`
  typedef struct {
    const uint8_t *next_in; unsigned avail_in; unsigned long total_in;
    uint8_t *next_out; unsigned avail_out; unsigned long total_out;
    const char *msg; void *state; void *zalloc; void *zfree; void *opaque;
    int data_type; unsigned long adler; unsigned long reserved;
  } berth_z_stream;
  const char *zlibVersion(void);
  int inflateInit2_(berth_z_stream *stream, int window_bits, const char *version, int stream_size);
  int inflate(berth_z_stream *stream, int flush);
  int inflateReset(berth_z_stream *stream);

  // igzip_lib.h's inflate_state: its tables and buffers are 21,120 and 66,192 bytes, with some to spare.
  typedef struct {
    uint8_t *next_out; uint32_t avail_out; uint32_t total_out;
    uint8_t *next_in; uint64_t read_in; uint32_t avail_in; int32_t read_in_length;
    uint8_t tables[21120];
    uint32_t block_state; uint32_t dict_length; uint32_t bfinal; uint32_t crc_flag;
    uint8_t rest[131072];
  } berth_isal_state;
  void isal_inflate_init(berth_isal_state *state);
  void isal_inflate_reset(berth_isal_state *state);
  int isal_inflate(berth_isal_state *state);
`);

/** Where input lies and where output goes, by the names that both libraries have for it. */
interface Stream {
  next_in: Bytes;
  avail_in: number;
  next_out: Bytes;
  avail_out: number;
}
interface IsalState extends Stream {
  readonly block_state: number;
  crc_flag: number;
}
/** @noSelf */
interface Zlib {
  readonly zlibVersion: () => Bytes;
  readonly inflateInit2_: (stream: Stream, windowBits: number, version: Bytes, size: number) => number;
  readonly inflate: (stream: Stream, flush: number) => number;
  readonly inflateReset: (stream: Stream) => number;
}
/** @noSelf */
interface Isal {
  readonly isal_inflate_init: (state: IsalState) => void;
  readonly isal_inflate_reset: (state: IsalState) => void;
  readonly isal_inflate: (state: IsalState) => number;
}

/** Inflates gzip's members one by one. @noSelf */
export interface Inflater {
  readonly stream: Stream;
  /** Goes on as far as input and room allow; true at the end of a member, whose checksum is right then. */
  readonly step: () => boolean;
  /** Begins the next member with the input that is left. */
  readonly reset: () => void;
}

// Before the process is confined. dpkg needs zlib, so every Debian has it; ISA-L takes half of its time or less.
const zlib = ffi.load("libz.so.1") as Zlib;
const [hasIsal, isal] = pcall(() => ffi.load("libisal.so.2") as Isal);

/** Opens ISA-L's inflater where it is installed (Debian's libisal2), else zlib's. */
export function openInflater(): Inflater {
  return hasIsal ? openIsal(isal) : openZlib();
}

function openIsal(library: Isal): Inflater {
  const state = ffi.new("berth_isal_state") as IsalState;
  library.isal_inflate_init(state);
  // ISAL_GZIP: with header and trailer, checked.
  state.crc_flag = 1;
  return {
    stream: state,
    step: () => {
      const result = library.isal_inflate(state);
      if (result !== 0) damaged("ISA-L", result);
      // ISAL_BLOCK_FINISH: all of the member is out.
      return state.block_state === 5;
    },
    reset: () => {
      library.isal_inflate_reset(state);
    },
  };
}

function openZlib(): Inflater {
  const stream = ffi.new("berth_z_stream") as Stream;
  // 15 window bits, plus 16: gzip and not zlib.
  if (zlib.inflateInit2_(stream, 31, zlib.zlibVersion(), ffi.sizeof(stream)) !== 0)
    fail("format", "zlib does not start");
  return {
    stream,
    step: () => {
      const result = zlib.inflate(stream, 0);
      // -5 (Z_BUF_ERROR): nothing to do without more input or room.
      if (result !== 0 && result !== 1 && result !== -5) damaged("zlib", result);
      return result === 1;
    },
    reset: () => {
      zlib.inflateReset(stream);
    },
  };
}

function damaged(library: string, result: number): never {
  return fail("format", `the gzip stream is damaged (${library} error ${string.format("%d", result)})`);
}
