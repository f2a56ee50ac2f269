import { createHash } from "node:crypto";
import { access, mkdir, readFile, rm } from "node:fs/promises";
import { basename, isAbsolute, join } from "node:path";
import type { Digest } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import type { Image } from "../../core/image.ts";
import type { Job } from "../../core/job.ts";
import type { Committer } from "../commit.ts";
import { onDisk } from "../disk-errors.ts";
import { parseConfig } from "../documents.ts";
import { writeHashed } from "../hashed-file.ts";
import { temporaryPath, type Layout } from "../layout.ts";
import type { Platform } from "../platform.ts";
import { formatReference, parseReference } from "../reference.ts";
import { readApplets } from "./busybox.ts";
import { findLibraries, loaderCache } from "./libraries.ts";
import { writeTar } from "./tar-writer.ts";
import { addHostFile, type ImageTree } from "./tree.ts";

/** An image to make of what is on this machine. */
export interface HostImageRequest {
  /** The tag that it gets, such as `berth.local/demo:latest`. */
  readonly name: string;
  /** Absolute paths of ELF binaries; a static busybox brings links for its applets. */
  readonly binaries: readonly string[];
  readonly job: Job;
  readonly signal: AbortSignal;
}

/** What building needs of the store. */
export interface HostImageContext {
  readonly layout: Layout;
  readonly platform: Platform;
  readonly committer: Committer;
}

const folders: readonly (readonly [string, number])[] = [
  ["dev", 0o755],
  ["etc", 0o755],
  ["proc", 0o755],
  ["root", 0o700],
  ["run", 0o755],
  ["sys", 0o755],
  ["tmp", 0o1777],
  ["usr", 0o755],
  ["var", 0o755],
];
const passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
const group = "root:x:0:\nnogroup:x:65534:\n";
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Makes an image of named host binaries and the libraries they need; no registry, nothing is executed. */
export async function buildFromHost(context: HostImageContext, request: HostImageRequest): Promise<Image> {
  const { layout, platform, committer } = context;
  const { job, signal } = request;
  const reference = parseReference(request.name);
  if (reference.digest !== undefined) {
    throw new RuntimeError(
      "invalid-argument",
      `${request.name}: a name with a digest cannot be given to a new image`,
    );
  }
  const tag = formatReference(reference);
  const tree = await job.stage("collect", () => collectTree(request.binaries));
  const folder = temporaryPath(layout, "host");
  try {
    const path = join(folder, "layer.tar");
    const layer = await job.stage("archive", () =>
      onDisk(layout.root, `image ${tag}`, async () => {
        await mkdir(folder, { mode: 0o700 });
        return await writeHashed(writeTar(tree), path, signal);
      }),
    );
    const configBytes = encodeConfig(platform, layer.digest, commandOf(tree, request.binaries));
    const descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer };
    const manifestBytes = encodeManifest(configBytes, descriptor);
    return await job.stage("layers", () =>
      committer.commit(
        {
          name: tag,
          manifestBytes,
          configBytes,
          config: parseConfig(configBytes.toString("utf8"), `config of ${tag}`),
          layers: [descriptor],
          tags: [tag],
          repoDigests: [],
          queue: "local",
          source: () => ({ kind: "file", path }),
        },
        signal,
      ),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function collectTree(binaries: readonly string[]): Promise<ImageTree> {
  if (binaries.length === 0)
    throw new RuntimeError("invalid-argument", "no binary is named to make an image of");
  const tree: ImageTree = new Map();
  for (const [path, mode] of folders) tree.set(path, { kind: "folder", mode });
  for (const path of binaries) await requireFile(path);
  const libraries = await findLibraries(binaries);
  for (const path of [...binaries, ...libraries]) await addHostFile(tree, path);
  if (libraries.length > 0) await addHostFile(tree, loaderCache).catch(() => undefined);
  if (!tree.has("bin")) tree.set("bin", { kind: "folder", mode: 0o755 });
  for (const path of binaries) if (basename(path) === "busybox") await addApplets(tree, path);
  tree.set("etc/passwd", { kind: "text", text: passwd, mode: 0o644 });
  tree.set("etc/group", { kind: "text", text: group, mode: 0o644 });
  return tree;
}

async function requireFile(path: string): Promise<void> {
  if (!isAbsolute(path) || path.split("/").includes("..")) {
    throw new RuntimeError("invalid-argument", `${path}: not an absolute path`);
  }
  try {
    await access(path);
  } catch {
    throw new RuntimeError("not-found", `${path}: no such file on this machine`);
  }
}

async function addApplets(tree: ImageTree, path: string): Promise<void> {
  const bin = tree.get("bin")?.kind === "link" ? "usr/bin" : "bin";
  for (const name of readApplets(await readFile(path))) {
    const place = `${bin}/${name}`;
    if (name !== "busybox" && !tree.has(place)) tree.set(place, { kind: "link", target: path });
  }
}

function commandOf(tree: ImageTree, binaries: readonly string[]): string {
  return tree.has("bin/sh") || tree.has("usr/bin/sh") ? "/bin/sh" : (binaries[0] ?? "/bin/sh");
}

function encodeConfig(platform: Platform, diffId: Digest, command: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      ...platform,
      config: { Env: [searchPath], Cmd: [command], WorkingDir: "/" },
      rootfs: { type: "layers", diff_ids: [diffId] },
    }),
  );
}

function encodeManifest(config: Buffer, layer: { mediaType: string; digest: Digest; size: number }): Buffer {
  const digest = `sha256:${createHash("sha256").update(config).digest("hex")}`;
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: config.length },
      layers: [layer],
    }),
  );
}
