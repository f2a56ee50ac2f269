import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { arch } from "node:process";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { readApplets } from "../../src/images/host/busybox.ts";
import { writeTar } from "../../src/images/host/tar-writer.ts";
import type { Entry, ImageTree } from "../../src/images/host/tree.ts";

/** What containers are made of. */
export const benchImage = "berth.bench/busybox:latest";
/** What containerd keeps a pod's namespaces open with: the same layer, asleep. */
export const pauseImage = "berth.bench/pause:latest";

const busybox = "/bin/busybox";
const folders = ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr", "var"];

interface Blob {
  readonly digest: string;
  readonly size: number;
  readonly entry: Entry;
}

/** Writes an OCI layout (image-layout.md) with both images as a tar, which every runtime imports. */
export async function writeArchive(folder: string): Promise<string> {
  const layer = await writeLayer(join(folder, "layer.tar"));
  const images = [
    makeImage(benchImage, ["/bin/sh"], layer),
    makeImage(pauseImage, ["/bin/sleep", "1000000000"], layer),
  ];
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: images.map((image) => image.descriptor),
  };
  const tree: ImageTree = new Map([
    ["blobs", { kind: "folder", mode: 0o755 }],
    ["blobs/sha256", { kind: "folder", mode: 0o755 }],
    ["index.json", text(JSON.stringify(index))],
    ["oci-layout", text(JSON.stringify({ imageLayoutVersion: "1.0.0" }))],
  ]);
  for (const blob of [layer, ...images.flatMap((image) => image.blobs)])
    tree.set(`blobs/sha256/${blob.digest}`, blob.entry);
  const path = join(folder, "images.tar");
  await pipeline(Readable.from(writeTar(tree)), createWriteStream(path));
  return path;
}

/** Busybox with all its applets, and what a root needs besides. */
export async function busyboxTree(): Promise<ImageTree> {
  const tree: ImageTree = new Map(folders.map((name) => [name, { kind: "folder", mode: 0o755 }]));
  const binary = await readFile(busybox).catch(() => {
    throw new Error(`${busybox} is missing: apt-get install busybox-static`);
  });
  tree.set("bin/busybox", {
    kind: "host-file",
    source: busybox,
    mode: 0o755,
    size: binary.length,
    mtime: Math.floor((await stat(busybox)).mtimeMs / 1000),
  });
  for (const name of readApplets(binary))
    if (name !== "busybox") tree.set(`bin/${name}`, { kind: "link", target: "busybox" });
  tree.set("etc/passwd", text("root:x:0:0:root:/root:/bin/sh\n"));
  tree.set("etc/group", text("root:x:0:\n"));
  return tree;
}

async function writeLayer(path: string): Promise<Blob> {
  const tree = await busyboxTree();
  const parts: Uint8Array[] = [];
  for await (const part of writeTar(tree)) parts.push(part);
  const content = Buffer.concat(parts);
  await writeFile(path, content);
  return {
    digest: sha256(content),
    size: content.length,
    entry: { kind: "host-file", source: path, mode: 0o644, size: content.length, mtime: 0 },
  };
}

function makeImage(
  name: string,
  command: readonly string[],
  layer: Blob,
): { descriptor: object; blobs: Blob[] } {
  const config = textBlob({
    architecture: arch === "x64" ? "amd64" : arch,
    os: "linux",
    config: { Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], Cmd: command, WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [`sha256:${layer.digest}`] },
  });
  const manifest = textBlob({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: describe(config, "application/vnd.oci.image.config.v1+json"),
    layers: [describe(layer, "application/vnd.oci.image.layer.v1.tar")],
  });
  return {
    descriptor: {
      ...describe(manifest, "application/vnd.oci.image.manifest.v1+json"),
      annotations: { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name },
    },
    blobs: [config, manifest],
  };
}

function describe({ digest, size }: Blob, mediaType: string): object {
  return { mediaType, digest: `sha256:${digest}`, size };
}

function textBlob(value: object): Blob {
  const content = JSON.stringify(value);
  return { digest: sha256(content), size: Buffer.byteLength(content), entry: text(content) };
}

function text(content: string): Entry {
  return { kind: "text", text: content, mode: 0o644 };
}

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}
