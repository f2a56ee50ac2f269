import * as ffi from "ffi";
import type { Bytes } from "ffi";
import { advance, errnos, failErrno, libc } from "./libc.ts";

/** The archive that is being written. @noSelf */
export interface TarOutput {
  readonly entry: (header: TarEntry) => void;
  /** Bytes of the entry that was just begun. */
  readonly text: (data: string) => void;
  /** The next bytes of a file; what is missing at its end becomes zeros, so that nothing after it shifts. */
  readonly copyFrom: (fd: number, count: number, path: string) => void;
  /** Fills the last block of an entry's data. */
  readonly pad: (size: number) => void;
  /** The two empty blocks that end an archive, and all that is still held. */
  readonly end: () => void;
}

/** An entry as it is written; numbers and names that ustar has no room for go into a pax header. */
export interface TarEntry {
  readonly name: string;
  readonly type: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly mtimeNsec: number;
  readonly major: number;
  readonly minor: number;
  /** Further pax records. */
  readonly records: readonly (readonly [string, string])[];
}

const bufferBytes = 256 * 1024;
const blockBytes = 512;
const maxOctal = { size: 0o77777777777, id: 0o7777777 };

/** Writes an archive to a file descriptor. */
export function openTar(out: number): TarOutput {
  const buffer = ffi.new(`uint8_t[${bufferBytes}]`) as Bytes;
  let filled = 0;

  const flush = (): void => {
    let at = 0;
    while (at < filled) {
      const written = libc.write(out, advance(buffer, at), filled - at);
      if (written >= 0) at += written;
      else if (ffi.errno() !== errnos.eintr) failErrno("write the archive");
    }
    filled = 0;
  };

  /** Room for at least one byte. */
  const room = (): number => {
    if (filled === bufferBytes) flush();
    return bufferBytes - filled;
  };

  const text = (data: string): void => {
    let at = 0;
    while (at < data.length) {
      const part = Math.min(room(), data.length - at);
      ffi.copy(advance(buffer, filled), string.sub(data, at + 1, at + part), part);
      filled += part;
      at += part;
    }
  };

  const zeros = (count: number): void => {
    let left = count;
    while (left > 0) {
      const part = Math.min(room(), left);
      ffi.fill(advance(buffer, filled), part, 0);
      filled += part;
      left -= part;
    }
  };

  const copyFrom = (fd: number, count: number, path: string): void => {
    let left = count;
    while (left > 0) {
      const part = Math.min(room(), left);
      const got = libc.read(fd, advance(buffer, filled), part);
      if (got > 0) {
        filled += got;
        left -= got;
      } else if (got === 0) {
        zeros(left);
        left = 0;
      } else if (ffi.errno() !== errnos.eintr) failErrno(`read ${path}`);
    }
  };

  const pad = (size: number): void => {
    const odd = size % blockBytes;
    if (odd > 0) zeros(blockBytes - odd);
  };

  const entry = (header: TarEntry): void => {
    const records = extendedRecords(header);
    if (records !== "") {
      text(encodeHeader({ ...plainHeader, name: "pax", type: "x", size: records.length }));
      text(records);
      pad(records.length);
    }
    text(encodeHeader(header));
  };

  const end = (): void => {
    zeros(2 * blockBytes);
    flush();
  };

  return { entry, text, copyFrom, pad, end };
}

/** An empty file of root's. */
export const plainHeader: TarEntry = {
  name: "",
  type: "0",
  linkName: "",
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
  mtimeNsec: 0,
  major: 0,
  minor: 0,
  records: [],
};

/** What does not fit a ustar header (POSIX pax, "pax Extended Header"). */
function extendedRecords(header: TarEntry): string {
  const parts: string[] = [];
  const add = (key: string, content: string): void => {
    parts.push(record(key, content));
  };
  if (needsRecord(header.name)) add("path", header.name);
  if (needsRecord(header.linkName)) add("linkpath", header.linkName);
  if (header.size > maxOctal.size) add("size", string.format("%.0f", header.size));
  if (header.uid > maxOctal.id) add("uid", string.format("%.0f", header.uid));
  if (header.gid > maxOctal.id) add("gid", string.format("%.0f", header.gid));
  if (header.mtimeNsec > 0 || header.mtime < 0 || header.mtime > maxOctal.size)
    add("mtime", formatTime(header.mtime, header.mtimeNsec));
  for (const [key, content] of header.records) add(key, content);
  return table.concat(parts);
}

/** Longer than the field, or with bytes whose meaning ustar leaves open. */
function needsRecord(name: string): boolean {
  return name.length > 99 || (string.find(name, "[^\x20-\x7e]")[0] as number | undefined) !== undefined;
}

/** A negative time counts back from the epoch, fraction included. */
function formatTime(seconds: number, nanoseconds: number): string {
  const back = seconds < 0 && nanoseconds > 0;
  const whole = back ? -(seconds + 1) : Math.abs(seconds);
  const fraction = back ? 1000000000 - nanoseconds : nanoseconds;
  return string.format("%s%.0f.%09.0f", seconds < 0 ? "-" : "", whole, fraction);
}

/** `length key=value\n`, whose length counts itself. */
function record(key: string, content: string): string {
  const rest = key.length + content.length + 3;
  let length = rest + tostring(rest).length;
  if (tostring(length).length !== tostring(rest).length) length = rest + tostring(length).length;
  return `${string.format("%d", length)} ${key}=${content}\n`;
}

function encodeHeader(header: TarEntry): string {
  const before = table.concat([
    field(header.name, 100),
    octal(header.mode, 7, maxOctal.id),
    octal(header.uid, 7, maxOctal.id),
    octal(header.gid, 7, maxOctal.id),
    octal(header.size, 11, maxOctal.size),
    octal(header.mtime < 0 ? 0 : header.mtime, 11, maxOctal.size),
  ]);
  const after = table.concat([
    header.type,
    field(header.linkName, 100),
    "ustar\0",
    "00",
    string.rep("\0", 64),
    octal(header.major, 7, maxOctal.id),
    octal(header.minor, 7, maxOctal.id),
    string.rep("\0", 167),
  ]);
  let sum = 8 * 32;
  for (const part of [before, after]) for (let at = 1; at <= part.length; at++) sum += string.byte(part, at);
  return before + string.format("%06o\0 ", sum) + after;
}

function field(content: string, length: number): string {
  const kept = string.sub(content, 1, length - 1);
  return kept + string.rep("\0", length - kept.length);
}

/** Digits and a terminator; what does not fit is in the pax header, and 0 here. */
function octal(number: number, digits: number, most: number): string {
  const fits = number <= most ? number : 0;
  // %o takes 53 bits of a double; the width pads with zeros.
  return string.format(`%0${digits}o\0`, fits);
}
