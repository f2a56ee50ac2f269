import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { buildTar, type RawEntry } from "../images/tar-builder.ts";
import type { TestDaemon } from "./daemon.ts";

/** The `config` of an OCI image, as far as tests use it (OCI image spec, config.md). */
export interface ImageProcessConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly Volumes?: Readonly<Record<string, object>>;
  readonly StopSignal?: string;
  readonly Labels?: Readonly<Record<string, string>>;
}

/** Applets that the images of tests have as links to busybox. */
const applets = ["sh", "cat", "echo", "id", "ls", "sleep", "touch", "true"] as const;

/** The files of an image with the machine's static busybox. */
export async function busyboxEntries(): Promise<readonly RawEntry[]> {
  return [
    { name: "bin/", type: "5" },
    { name: "bin/busybox", data: await readFile("/bin/busybox"), mode: 0o755 },
    ...applets.map((name) => ({ name: `bin/${name}`, type: "2", linkName: "busybox" })),
    { name: "etc/", type: "5" },
    { name: "tmp/", type: "5", mode: 0o1777 },
  ];
}

/** Puts an image of one layer into the store, by way of an OCI layout. */
export async function importImage(
  daemon: TestDaemon,
  reference: string,
  entries: readonly RawEntry[],
  config: ImageProcessConfig = {},
): Promise<void> {
  await importLayers(daemon, reference, [entries], config);
}

/** As {@link importImage}, of several layers, lowest first. */
export async function importLayers(
  daemon: TestDaemon,
  reference: string,
  layers: readonly (readonly RawEntry[])[],
  config: ImageProcessConfig = {},
): Promise<void> {
  await sendArchive(daemon, reference, ociLayout(layers.map(buildTar), config));
}

/** Streams an archive to ImportImage. */
export function sendArchive(daemon: TestDaemon, reference: string, archive: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = daemon.rawAdmin.ImportImage((error) => {
      if (error === null) resolve();
      else reject(error);
    });
    call.write({ reference });
    const pieceBytes = 1024 * 1024;
    for (let at = 0; at < archive.length; at += pieceBytes) {
      call.write({ data: archive.subarray(at, at + pieceBytes) });
    }
    call.end();
  });
}

function ociLayout(layers: readonly Buffer[], config: ImageProcessConfig): Buffer {
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const rootfs = { type: "layers", diff_ids: layers.map(digestOf) };
  const image = json({ os: "linux", architecture, config, rootfs });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...descriptor(image) },
    layers: layers.map((layer) => ({
      mediaType: "application/vnd.oci.image.layer.v1.tar",
      ...descriptor(layer),
    })),
  });
  const index = json({
    schemaVersion: 2,
    manifests: [{ mediaType: "application/vnd.oci.image.manifest.v1+json", ...descriptor(manifest) }],
  });
  return buildTar([
    { name: "oci-layout", data: json({ imageLayoutVersion: "1.0.0" }) },
    { name: "index.json", data: index },
    ...[manifest, image, ...layers].map((blob) => ({
      name: `blobs/sha256/${digestOf(blob).slice("sha256:".length)}`,
      data: blob,
    })),
  ]);
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function digestOf(blob: Buffer): string {
  return `sha256:${createHash("sha256").update(blob).digest("hex")}`;
}

function descriptor(blob: Buffer): { readonly digest: string; readonly size: number } {
  return { digest: digestOf(blob), size: blob.length };
}
