import { createHash } from "node:crypto";
import { crc32, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib";
import { buildTar, type RawEntry } from "./tar-builder.ts";
import { ociTypes, type TestLayer } from "./registry.ts";

/** A layer that can be read in pieces, and the annotations with which its descriptor says so. */
export interface ChunkedLayer extends TestLayer {
  readonly annotations: Readonly<Record<string, string>>;
}

const hexOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The tar of each entry by itself, without the two blocks that end an archive. */
function piecesOf(entries: readonly RawEntry[]): Buffer[] {
  return entries.map((entry) => buildTar([entry]).subarray(0, -1024));
}

const endOfTar = Buffer.alloc(1024);

/**
 * A zstd:chunked layer: each entry a frame of its own, then as skippable frames the compressed table of contents, the
 * compressed tar-split, and the footer (containers/storage, pkg/chunked/internal/minimal/compression.go).
 */
export function zstdChunkedLayer(entries: readonly RawEntry[]): ChunkedLayer {
  const pieces = piecesOf(entries);
  const frames = [...pieces, endOfTar].map((piece) => zstdCompressSync(piece));
  const contents = tableOf(entries, frames);
  const [toc, split] = [contents, Buffer.from('{"type":2,"payload":""}\n')].map((plain) => ({
    plain,
    packed: zstdCompressSync(plain),
  }));
  if (toc === undefined || split === undefined) throw new Error("two of them");
  const tocAt = total(frames) + skippableHeaderBytes;
  const splitAt = tocAt + toc.packed.length + skippableHeaderBytes;
  const numbers = [
    tocAt,
    toc.packed.length,
    toc.plain.length,
    1,
    splitAt,
    split.packed.length,
    split.plain.length,
  ];
  const footer = Buffer.alloc(64);
  for (const [index, number] of numbers.entries()) footer.writeBigUInt64LE(BigInt(number), index * 8);
  footer.write("GNUlInUx", 56, "latin1");
  const blob = Buffer.concat([...frames, ...[toc.packed, split.packed, footer].map(skippableFrame)]);
  const prefix = "io.github.containers.zstd-chunked";
  return {
    tar: Buffer.concat([...pieces, endOfTar]),
    blob,
    mediaType: ociTypes.zstd,
    annotations: {
      [`${prefix}.manifest-checksum`]: `sha256:${hexOf(toc.packed)}`,
      [`${prefix}.manifest-position`]: numbers.slice(0, 4).join(":"),
      [`${prefix}.tarsplit-position`]: numbers.slice(4).join(":"),
    },
  };
}

const skippableHeaderBytes = 8;

/** Magic number and length, little-endian (RFC 8878 3.1.2). */
function skippableFrame(content: Buffer): Buffer {
  const header = Buffer.alloc(skippableHeaderBytes);
  header.writeUInt32LE(0x184d2a50, 0);
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, content]);
}

/**
 * An eStargz layer: each entry a gzip member of its own, then one with the table of contents as the tar's last file, and
 * an empty member whose extra field says where that is (containerd/stargz-snapshotter, docs/estargz.md).
 */
export function estargzLayer(entries: readonly RawEntry[]): ChunkedLayer {
  const landmark = { name: ".no.prefetch.landmark", data: "\x0f" };
  const pieces = piecesOf([landmark, ...entries]);
  const members = pieces.map((piece) => gzipSync(piece));
  const contents = tableOf([landmark, ...entries], members);
  const toc = Buffer.concat([
    buildTar([{ name: "stargz.index.json", data: contents }]).subarray(0, -1024),
    endOfTar,
  ]);
  const footer = estargzFooter(total(members));
  if (footer.length !== 51) throw new Error(`a footer of ${footer.length} bytes`);
  return {
    tar: Buffer.concat([...pieces, toc]),
    blob: Buffer.concat([...members, gzipSync(toc), footer]),
    mediaType: ociTypes.gzip,
    annotations: {
      "containerd.io/snapshot/stargz/toc.digest": `sha256:${hexOf(contents)}`,
      "io.containers.estargz.uncompressed-size": String(total(pieces) + toc.length),
    },
  };
}

/** An empty gzip member (RFC 1952) with the extra subfield SG: 16 hex digits and STARGZ. */
function estargzFooter(tocAt: number): Buffer {
  const subfield = Buffer.from(`${tocAt.toString(16).padStart(16, "0")}STARGZ`);
  const header = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff]);
  const extra = Buffer.concat([
    Buffer.from([subfield.length + 4, 0]),
    Buffer.from("SG"),
    Buffer.from([subfield.length, 0]),
    subfield,
  ]);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc32(""), 0);
  // A stored block of no bytes, the last one: what level 0 makes.
  return Buffer.concat([header, extra, deflateRawSync("", { level: 0 }), trailer]);
}

/** The table of contents of both formats (CRFS): names, kinds, and where each piece begins. */
function tableOf(entries: readonly RawEntry[], pieces: readonly Buffer[]): Buffer {
  let offset = 0;
  const listed = entries.map(({ name, type = "0", data = "" }, index) => {
    const entry = {
      name,
      type: type === "5" ? "dir" : "reg",
      size: data.length,
      offset,
      digest: `sha256:${hexOf(Buffer.from(data))}`,
    };
    offset += pieces[index]?.length ?? 0;
    return entry;
  });
  return Buffer.from(JSON.stringify({ version: 1, entries: listed }));
}

function total(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
