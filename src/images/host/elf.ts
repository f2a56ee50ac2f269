import { RuntimeError } from "../../core/errors.ts";

/** What a binary asks of the dynamic loader (elf(5)). */
export interface Elf {
  /** EM_*: binaries and libraries of one image share it. */
  readonly machine: number;
  /** Path of the loader; absent for a static binary or a library. */
  readonly interpreter?: string;
  readonly needed: readonly string[];
  /** DT_RUNPATH, or DT_RPATH without it; `$ORIGIN` is not replaced yet. */
  readonly searchPath: readonly string[];
}

const programType = { load: 1, dynamic: 2, interpreter: 3 };
const tag = { end: 0, needed: 1, stringTable: 5, rpath: 15, runpath: 29 };
const maxDynamicEntries = 4096;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

/** Reads a 64-bit little-endian ELF file without running it; throws `invalid-argument`, naming `path`. */
export function parseElf(file: Buffer, path: string): Elf {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46) throw bad(path, "it is not an ELF binary");
  if (file[4] !== 2 || file[5] !== 1) throw bad(path, "it is not a 64-bit little-endian binary");
  try {
    return readElf(file, path);
  } catch (thrown) {
    // Offsets that lead out of the file.
    if (thrown instanceof RangeError) throw bad(path, "its headers are damaged");
    throw thrown;
  }
}

function readElf(file: Buffer, path: string): Elf {
  const machine = file.readUInt16LE(18);
  const segments = readSegments(file);
  const interpreter = segments.find((segment) => segment.type === programType.interpreter);
  const dynamic = segments.find((segment) => segment.type === programType.dynamic);
  const entries = dynamic === undefined ? [] : readDynamic(file, dynamic);
  const tableAddress = entries.find(([key]) => key === tag.stringTable)?.[1];
  const table = tableAddress === undefined ? 0 : fileOffset(segments, tableAddress, path);
  const texts = (wanted: number): string[] =>
    entries.filter(([key]) => key === wanted).map(([, value]) => textAt(file, table + value));
  const runpath = texts(tag.runpath);
  const searched = (runpath.length > 0 ? runpath : texts(tag.rpath)).flatMap((list) => list.split(":"));
  return {
    machine,
    ...(interpreter === undefined ? {} : { interpreter: textAt(file, interpreter.offset) }),
    needed: texts(tag.needed),
    searchPath: searched.filter((folder) => folder !== ""),
  };
}

function readSegments(file: Buffer): Segment[] {
  const start = Number(file.readBigUInt64LE(32));
  const entrySize = file.readUInt16LE(54);
  const count = file.readUInt16LE(56);
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * entrySize;
    return {
      type: file.readUInt32LE(at),
      offset: Number(file.readBigUInt64LE(at + 8)),
      address: Number(file.readBigUInt64LE(at + 16)),
      size: Number(file.readBigUInt64LE(at + 32)),
    };
  });
}

function readDynamic(file: Buffer, segment: Segment): [number, number][] {
  const entries: [number, number][] = [];
  for (let at = segment.offset; at < segment.offset + segment.size; at += 16) {
    const key = Number(file.readBigInt64LE(at));
    if (key === tag.end || entries.length === maxDynamicEntries) break;
    entries.push([key, Number(file.readBigUInt64LE(at + 8))]);
  }
  return entries;
}

function fileOffset(segments: readonly Segment[], address: number, path: string): number {
  for (const { type, offset, address: start, size } of segments) {
    if (type === programType.load && address >= start && address < start + size)
      return address - start + offset;
  }
  throw bad(path, "its headers are damaged");
}

function textAt(file: Buffer, at: number): string {
  const end = file.indexOf(0, at);
  if (at >= file.length || end < 0) throw new RangeError("text outside of the file");
  return file.toString("utf8", at, end);
}

function bad(path: string, why: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${path}: ${why}`);
}
