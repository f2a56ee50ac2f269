const block = 512;
/** What 11 octal digits hold; a larger number is written in base 256, as GNU tar does. */
const maxOctalSize = 0o77777777777;

/** Fields of a header that this project writes from Node; owner is always root. */
export interface TarHeader {
  /** At most 99 bytes; a longer one goes into {@link extendedHeader} besides. */
  readonly name: string;
  readonly type: "0" | "2" | "5" | "x";
  readonly size: number;
  readonly mode: number;
  /** Seconds since the epoch. */
  readonly mtime?: number;
  readonly target?: string;
}

/** One header block (POSIX ustar). */
export function tarHeader({ name, type, size, mode, mtime = 0, target = "" }: TarHeader): Buffer {
  const bytes = Buffer.alloc(block);
  const octal = (value: number, at: number, length: number): void => {
    bytes.write(value.toString(8).padStart(length - 1, "0"), at, "latin1");
  };
  Buffer.from(name).copy(bytes, 0, 0, 99);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (size <= maxOctalSize) octal(size, 124, 12);
  else {
    bytes[124] = 0x80;
    bytes.writeBigUInt64BE(BigInt(size), 128);
  }
  octal(mtime, 136, 12);
  bytes.write(type, 156, "latin1");
  Buffer.from(target).copy(bytes, 157, 0, 99);
  bytes.write("ustar\u000000", 257, "latin1");
  bytes.fill(" ", 148, 156);
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return bytes;
}

/** A pax header for names that ustar's fields are too short for; empty where they are not. */
export function extendedHeader(name: string, target = ""): Buffer {
  if (Buffer.byteLength(name) <= 99 && Buffer.byteLength(target) <= 99) return Buffer.alloc(0);
  const text = Buffer.from(record("path", name) + (target === "" ? "" : record("linkpath", target)));
  return Buffer.concat([
    tarHeader({ name: "pax", type: "x", size: text.length, mode: 0o644 }),
    text,
    padding(text.length),
  ]);
}

function record(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(body);
  let length = bytes + String(bytes).length;
  if (String(length).length !== String(bytes).length) length = bytes + String(length).length;
  return `${length}${body}`;
}

/** What fills the last block of an entry's data. */
export function padding(size: number): Buffer {
  return Buffer.alloc((block - (size % block)) % block);
}

/** The two empty blocks that end an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * block);
}
