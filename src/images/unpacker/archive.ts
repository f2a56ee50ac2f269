import { writeEntry } from "./entry.ts";
import type { Header } from "./header.ts";
import { parseHeader } from "./header.ts";
import { fail } from "./libc.ts";
import type { Pax } from "./pax.ts";
import { applyPax, emptyPax, maxExtendedBytes, parsePax } from "./pax.ts";
import type { Source } from "./source.ts";
import { readSparseMap } from "./sparse.ts";
import type { Tree } from "./tree.ts";

/** What extended headers said of the entry that follows them. */
interface Pending {
  pax: Pax;
  longName?: string;
  longLink?: string;
}

/** Unpacks every entry up to the end of the archive; returns how many extended attributes were left out. */
export function unpackArchive(source: Source, tree: Tree, maxEntries: number): number {
  const globals = emptyPax();
  let pending: Pending = { pax: emptyPax() };
  let entries = 0;
  let skipped = 0;
  for (;;) {
    const block = source.block();
    const header = block === undefined ? undefined : parseHeader(block);
    if (header === undefined) return skipped;
    entries += 1;
    if (entries > maxEntries) fail("limit", `the layer has more than ${maxEntries} entries`);
    if (readExtended(source, header, globals, pending)) continue;
    skipped += unpackEntry(source, tree, header, globals, pending);
    pending = { pax: emptyPax() };
  }
}

/** Takes in a header that only describes another; false for an entry of its own. */
function readExtended(source: Source, header: Header, globals: Pax, pending: Pending): boolean {
  if (header.type === "x" || header.type === "X") parsePax(extendedText(source, header), pending.pax);
  else if (header.type === "g") parsePax(extendedText(source, header), globals);
  else if (header.type === "L") pending.longName = withoutZeros(extendedText(source, header));
  else if (header.type === "K") pending.longLink = withoutZeros(extendedText(source, header));
  else return false;
  return true;
}

function extendedText(source: Source, header: Header): string {
  if (header.size > maxExtendedBytes)
    fail("limit", `an extended header is larger than ${maxExtendedBytes} bytes`);
  const text = source.text(header.size, "an extended header");
  skipPadding(source, header.size, "an extended header");
  return text;
}

function withoutZeros(text: string): string {
  return string.match(text, "^[^%z]*")[0] ?? "";
}

function unpackEntry(source: Source, tree: Tree, header: Header, globals: Pax, pending: Pending): number {
  if (pending.longName !== undefined) header.name = pending.longName;
  if (pending.longLink !== undefined) header.linkName = pending.longLink;
  applyPax(header, globals);
  applyPax(header, pending.pax);
  const hasData = header.type === "0" || header.type === "7" || header.type === "S";
  // Links, folders and devices carry no data, whatever their size field says (POSIX pax, ustar).
  if (!hasData) header.size = 0;
  const before = source.bytesTaken();
  const size = header.size;
  const sparse =
    header.type === "S" || header.type === "0" ? readSparseMap(source, header, pending.pax) : undefined;
  const oldSparseBlocks = header.type === "S" ? source.bytesTaken() - before : 0;
  const skipped = writeEntry(tree, source, header, pending.pax, sparse);
  // What is left of the entry, so that nothing it says of itself shifts the next header.
  const left = size + oldSparseBlocks - (source.bytesTaken() - before);
  if (left > 0) source.skip(left, header.name);
  skipPadding(source, size, header.name);
  return skipped;
}

function skipPadding(source: Source, size: number, what: string): void {
  const odd = size % 512;
  if (odd > 0) source.skip(512 - odd, what);
}
