import { createHash, type Hash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { padding, tarEnd, tarHeader } from "../../src/images/archive/tar-blocks.ts";
import { writeTar } from "../../src/images/host/tar-writer.ts";
import { busyboxTree } from "./archive.ts";
import { fileContent, numbers } from "./file-content.ts";

/** An image that the bench's registry serves. */
export interface PullImage {
  readonly name: string;
  /** What a runtime is told to pull. */
  readonly reference: string;
  readonly manifest: string;
  /** Digest of the config, which is the image's id with every runtime. */
  readonly config: string;
  readonly layers: readonly PullLayer[];
}

/** A layer as a registry has it, and the digest of its tar. */
export interface PullLayer {
  readonly digest: string;
  readonly diffId: string;
  /** Compressed. */
  readonly size: number;
}

/** Where every runtime's registry listens, in its own network. */
export const registryHost = "127.0.0.1:5000";

/** Files of one layer, of sizes that are as often small as large (their logarithm is even). */
interface Files {
  readonly count: number;
  readonly minBytes: number;
  readonly maxBytes: number;
}

const kB = 1_000;
const megabytes = (count: number): Files => ({
  // The mean of such sizes is 0.26 MB.
  count: Math.round(count / 0.26),
  minBytes: kB,
  maxBytes: 2_000 * kB,
});

/** Layers on top of busybox, each uncompressed; gzip makes 0.36 of it. */
const recipes: Readonly<Record<string, readonly Files[]>> = {
  small: [],
  large: [260, 200, 160, 120, 80].map(megabytes),
  files: [{ count: 20_000, minBytes: 200, maxBytes: 8 * kB }],
  layers: Array.from({ length: 19 }, () => ({ count: 20, minBytes: kB, maxBytes: 200 * kB })),
};

const filesAFolder = 50;
const owner = { mtime: 1_700_000_000, mode: 0o644 };

/** The images, and the folder of their blobs by digest; made once and kept with the other things that the bench fetches. */
export async function makePullImages(): Promise<{ readonly folder: string; readonly images: PullImage[] }> {
  const cache = process.env["BERTH_CACHE"] ?? "/var/cache/berth-test";
  const folder = join(cache, "bench-images", await stampOf());
  const list = join(folder, "images.json");
  const known = await readFile(list, "utf8").catch(() => undefined);
  if (known !== undefined) return { folder, images: JSON.parse(known) as PullImage[] };
  await rm(join(cache, "bench-images"), { recursive: true, force: true });
  await mkdir(join(cache, "bench-images"), { recursive: true });
  const fresh = await mkdtemp(join(cache, "bench-images-"));
  try {
    const images: PullImage[] = [];
    for (const name of Object.keys(recipes)) images.push(await makeImage(fresh, name));
    await writeFile(join(fresh, "images.json"), JSON.stringify(images));
    await rename(fresh, folder);
    return { folder, images };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Of all that the images are made by. */
async function stampOf(): Promise<string> {
  const hash = createHash("sha256");
  for (const path of [import.meta.filename, join(import.meta.dirname, "file-content.ts"), "/bin/busybox"])
    hash.update(await readFile(path));
  return hash.update(JSON.stringify(process.versions)).digest("hex").slice(0, 16);
}

async function makeImage(folder: string, name: string): Promise<PullImage> {
  const recipe = recipes[name] ?? [];
  const layers = await Promise.all([
    // Of each image's own, so that no runtime has it already.
    writeLayer(folder, writeTar((await busyboxTree()).set("etc/bench", text(name)))),
    ...recipe.map((files, index) => writeLayer(folder, filesTar(files, `${name}-${index}`))),
  ]);
  const config = await writeDocument(folder, {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: ["/bin/sh"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = await writeDocument(folder, {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers: layers.map(({ digest, size }) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      digest,
      size,
    })),
  });
  const reference = `${registryHost}/bench/${name}:1`;
  return { name, reference, manifest: manifest.digest, config: config.digest, layers };
}

function text(content: string): { readonly kind: "text"; readonly text: string; readonly mode: number } {
  return { kind: "text", text: content, mode: 0o644 };
}

/** A layer that holds nothing but generated files, in folders of fifty. */
function* filesTar({ count, minBytes, maxBytes }: Files, name: string): Generator<Buffer> {
  const seed = createHash("sha256").update(name).digest().readUInt32LE();
  const content = fileContent(seed);
  const next = numbers(seed);
  const folder = (path: string): Buffer =>
    tarHeader({ ...owner, name: `${path}/`, type: "5", mode: 0o755, size: 0 });
  const top = `srv/${name}`;
  yield Buffer.concat([folder("srv"), folder(top)]);
  for (let index = 0; index < count; index++) {
    const inside = `${top}/folder-${Math.floor(index / filesAFolder)}`;
    if (index % filesAFolder === 0) yield folder(inside);
    const size = Math.floor(minBytes * (maxBytes / minBytes) ** (next(1e6) / 1e6));
    const header = tarHeader({ ...owner, name: `${inside}/file-${index}`, type: "0", size });
    yield Buffer.concat([header, content(size), padding(size)]);
  }
  yield tarEnd();
}

/** Writes a tar's bytes with gzip, as Docker compresses, under their digest. */
async function writeLayer(
  folder: string,
  tar: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<PullLayer> {
  const [plain, packed] = [createHash("sha256"), createHash("sha256")];
  const temporary = join(await mkdtemp(join(folder, "layer-")), "blob");
  await pipeline(
    Readable.from(tar),
    (parts: AsyncIterable<Uint8Array>) => hashed(plain, parts),
    createGzip({ level: 6 }),
    (parts: AsyncIterable<Uint8Array>) => hashed(packed, parts),
    createWriteStream(temporary),
  );
  const digest = packed.digest("hex");
  const { size } = await stat(temporary);
  await rename(temporary, join(folder, digest));
  await rm(join(temporary, ".."), { recursive: true });
  return { digest: `sha256:${digest}`, diffId: `sha256:${plain.digest("hex")}`, size };
}

async function* hashed(hash: Hash, parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const part of parts) {
    hash.update(part);
    yield part;
  }
}

async function writeDocument(
  folder: string,
  value: object,
): Promise<{ readonly digest: string; readonly size: number }> {
  const content = JSON.stringify(value);
  const hex = createHash("sha256").update(content).digest("hex");
  await writeFile(join(folder, hex), content);
  return { digest: `sha256:${hex}`, size: Buffer.byteLength(content) };
}
