import { Buffer } from "node:buffer";

/** One entry of a tar that a test makes by hand, honest or not. */
export interface RawEntry {
  readonly name: string;
  /** The type flag; a regular file where absent. */
  readonly type?: string;
  readonly data?: Uint8Array | string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly linkName?: string;
  readonly major?: number;
  readonly minor?: number;
  /** Records of a pax header before the entry. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** What the size field says, where it lies. */
  readonly size?: number;
}

/** Makes a tar of entries, ended by two zero blocks. */
export function buildTar(entries: readonly RawEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(encodeEntry), Buffer.alloc(1024)]);
}

/** A header block with its checksum, after `change` had a look at it. */
export function encodeHeader(entry: RawEntry, change: (block: Buffer) => void = () => undefined): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, at: number, length: number): void => {
    block.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
  };
  Buffer.from(entry.name).copy(block, 0, 0, 100);
  octal(entry.mode ?? (entry.type === "5" ? 0o755 : 0o644), 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(entry.size ?? Buffer.from(entry.data ?? "").length, 124, 12);
  octal(entry.mtime ?? 1_600_000_000, 136, 12);
  block.write(entry.type ?? "0", 156, "latin1");
  Buffer.from(entry.linkName ?? "").copy(block, 157, 0, 100);
  block.write("ustar\u000000", 257, "latin1");
  octal(entry.major ?? 0, 329, 8);
  octal(entry.minor ?? 0, 337, 8);
  change(block);
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** Data filled up to whole blocks. */
export function padded(data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

function encodeEntry(entry: RawEntry): Buffer[] {
  const parts: Buffer[] = [];
  if (entry.pax !== undefined) {
    const records = Buffer.concat(Object.entries(entry.pax).map(([key, value]) => encodeRecord(key, value)));
    parts.push(encodeHeader({ name: "pax", type: "x", data: records }), padded(records));
  }
  return [...parts, encodeHeader(entry), padded(entry.data ?? "")];
}

function encodeRecord(key: string, value: string | Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = body.length + String(body.length).length;
  length = body.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}
