import type { Header } from "./header.ts";
import { parseSparsePairs } from "./header.ts";
import { fail } from "./libc.ts";
import { capture } from "./patterns.ts";
import type { Pax } from "./pax.ts";
import { parseWhole } from "./pax.ts";
import type { Source } from "./source.ts";

/** A file with holes: pairs of offset and length, whose data follows one after the other in the archive. */
export interface SparseFile {
  readonly map: readonly number[];
  readonly realSize: number;
  /** Bytes of data that the archive holds after the map. */
  readonly storedBytes: number;
}

/** Pieces of one sparse file. */
const maxSparsePieces = 1_000_000;

/** Reads the map of a sparse file of any of GNU tar's formats (tar manual, appendix E); undefined for other files. */
export function readSparseMap(source: Source, header: Header, pax: Pax): SparseFile | undefined {
  if (header.sparse !== undefined) return oldMap(source, header);
  const major = pax.values["GNU.sparse.major"];
  if (major === "1") return mapInData(source, header, pax);
  if (major !== undefined && major !== "0")
    return fail("format", `${header.name}: sparse format ${major} is not known`);
  if (pax.values["GNU.sparse.size"] === undefined) return undefined;
  const name = pax.values["GNU.sparse.name"];
  if (name !== undefined) header.name = name;
  const map =
    pax.values["GNU.sparse.map"] === undefined ? pax.sparsePairs : commaList(pax.values["GNU.sparse.map"]);
  return check(header, map, pax.values["GNU.sparse.size"], header.size);
}

function oldMap(source: Source, header: Header): SparseFile {
  const map = header.sparse?.map ?? [];
  let extended = header.sparse?.extended === true;
  while (extended) {
    const block = source.block();
    if (block === undefined) return fail("format", `the tar stream is truncated in ${header.name}`);
    parseSparsePairs(block, 0, 21, map);
    extended = block[504] !== 0;
    if (map.length > 2 * maxSparsePieces)
      fail("limit", `${header.name} has more than ${maxSparsePieces} sparse pieces`);
  }
  return check(header, map, tostring(header.sparse?.realSize ?? 0), header.size);
}

/** Format 1.0: the map is decimal text, a number a line, padded to whole blocks at the beginning of the data. */
function mapInData(source: Source, header: Header, pax: Pax): SparseFile {
  header.name = pax.values["GNU.sparse.name"] ?? header.name;
  let text = "";
  let at = 1;
  let blocks = 0;
  const next = (): number => {
    for (;;) {
      const line = capture(text, "^(%d+)\n", at);
      if (line !== undefined) {
        at = line.last + 1;
        return parseWhole(line.text, "sparse map");
      }
      blocks += 1;
      if (blocks * 512 > header.size || text.length - at > 64)
        fail("format", `${header.name}: the sparse map is malformed`);
      text = string.sub(text, at) + source.text(512, header.name);
      at = 1;
    }
  };
  const pieces = next();
  if (pieces > maxSparsePieces)
    fail("limit", `${header.name} has more than ${maxSparsePieces} sparse pieces`);
  const map: number[] = [];
  for (let index = 0; index < 2 * pieces; index++) map.push(next());
  return check(header, map, pax.values["GNU.sparse.realsize"] ?? "0", header.size - blocks * 512);
}

function commaList(text: string): number[] {
  const map: number[] = [];
  for (const [digits] of string.gmatch(text, "[^,]+")) map.push(parseWhole(digits ?? "", "sparse map"));
  return map;
}

/** Pieces lie in order, inside the file, and add up to the stored data. */
function check(header: Header, map: readonly number[], size: string, storedBytes: number): SparseFile {
  const realSize = parseWhole(size, "sparse size");
  let end = 0;
  let sum = 0;
  for (let index = 0; index + 1 < map.length; index += 2) {
    const offset = map[index] ?? 0;
    const length = map[index + 1] ?? 0;
    if (offset < end || offset + length > realSize)
      fail("format", `${header.name}: the sparse map is malformed`);
    end = offset + length;
    sum += length;
  }
  if (map.length % 2 !== 0 || sum !== storedBytes)
    fail("format", `${header.name}: the sparse map is malformed`);
  return { map, realSize, storedBytes };
}
