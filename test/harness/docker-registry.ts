import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { ociTypes, sha256, type TestLayer } from "../images/registry.ts";
import type { World } from "./world.ts";

const program = "/usr/bin/docker-registry";
const docker = "application/vnd.docker";

/** Why tests against Debian's registry are skipped; false where it is installed. */
export const withoutDockerRegistry = !existsSync(program) && `${program} is not installed`;

/** The media types of the two formats that a registry serves. */
export const imageFormats = {
  oci: { manifest: ociTypes.manifest, config: ociTypes.config, layer: ociTypes.gzip },
  docker: {
    manifest: `${docker}.distribution.manifest.v2+json`,
    config: `${docker}.container.image.v1+json`,
    layer: `${docker}.image.rootfs.diff.tar.gzip`,
  },
};

/** A registry that answers at `host` until it is disposed of. */
export interface DockerRegistry extends AsyncDisposable {
  readonly host: string;
}

/** Starts Debian's registry on a free loopback port, storing below `folder`. */
export async function startDockerRegistry(folder: string): Promise<DockerRegistry> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const host = `127.0.0.1:${(probe.address() as AddressInfo).port}`;
  await new Promise((resolve) => probe.close(resolve));
  const child = spawn(program, ["serve", await configure(folder, host)], { stdio: "ignore" });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, "exit");
  };
  const answers = (): Promise<boolean> =>
    fetch(`http://${host}/v2/`).then(
      (answer) => answer.ok,
      () => false,
    );
  if (await soon(answers)) return { host, [Symbol.asyncDispose]: stop };
  await stop();
  throw new Error("docker-registry does not answer");
}

/** Serves what an earlier registry stored below `folder`, on a world's own loopback; it ends with the world. */
export async function serveInWorld(world: World, folder: string): Promise<string> {
  const host = "127.0.0.1:5000";
  world.spawn(program, ["serve", await configure(folder, host)], { stdio: "ignore" });
  const answers = async (): Promise<boolean> =>
    (await world.run("busybox", ["wget", "-q", "-O", "/dev/null", `http://${host}/v2/`])).status === 0;
  if (await soon(answers)) return host;
  throw new Error("docker-registry does not answer in the world");
}

/** Pushes an image; the digests of its manifest and config. */
export async function pushImage(
  host: string,
  name: { readonly repository: string; readonly tag: string },
  format: keyof typeof imageFormats,
  layers: readonly TestLayer[],
  config: object = {},
): Promise<{ readonly manifest: string; readonly config: string }> {
  const types = imageFormats[format];
  const base = `http://${host}/v2/${name.repository}`;
  const configBytes = Buffer.from(
    JSON.stringify({
      os: "linux",
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      config,
      rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => sha256(tar)) },
    }),
  );
  for (const bytes of [configBytes, ...layers.map(({ blob }) => blob)]) await pushBlob(base, bytes);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: sha256(configBytes), size: configBytes.length },
    layers: layers.map(({ blob }) => ({ mediaType: types.layer, digest: sha256(blob), size: blob.length })),
  });
  await pushManifest(`${base}/manifests/${name.tag}`, types.manifest, manifest);
  return { manifest: sha256(Buffer.from(manifest)), config: sha256(configBytes) };
}

/** Pushes an artifact of files, by their titles; the digest of its manifest. */
export async function pushArtifact(
  host: string,
  name: { readonly repository: string; readonly tag: string },
  files: Readonly<Record<string, Buffer>>,
): Promise<string> {
  const base = `http://${host}/v2/${name.repository}`;
  const config = Buffer.from("{}");
  for (const bytes of [config, ...Object.values(files)]) await pushBlob(base, bytes);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: ociTypes.manifest,
    artifactType: "application/vnd.test.model",
    config: {
      mediaType: "application/vnd.oci.empty.v1+json",
      digest: sha256(config),
      size: config.length,
    },
    layers: Object.entries(files).map(([title, bytes]) => ({
      mediaType: "application/octet-stream",
      digest: sha256(bytes),
      size: bytes.length,
      annotations: { "org.opencontainers.image.title": title },
    })),
  });
  await pushManifest(`${base}/manifests/${name.tag}`, ociTypes.manifest, manifest);
  return sha256(Buffer.from(manifest));
}

async function pushManifest(url: string, mediaType: string, body: string): Promise<void> {
  const put = await fetch(url, { method: "PUT", headers: { "content-type": mediaType }, body });
  assert.equal(put.status, 201, await put.text());
}

async function pushBlob(base: string, bytes: Uint8Array): Promise<void> {
  const start = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const location = new URL(start.headers.get("location") ?? "", base);
  location.searchParams.set("digest", sha256(bytes));
  const done = await fetch(location, { method: "PUT", body: new Uint8Array(bytes) });
  assert.equal(done.status, 201, await done.text());
}

async function configure(folder: string, host: string): Promise<string> {
  await mkdir(join(folder, "data"), { recursive: true });
  const path = join(folder, "config.yml");
  const storage = `storage: {filesystem: {rootdirectory: ${folder}/data}}`;
  await writeFile(path, `version: 0.1\nlog: {level: error}\n${storage}\nhttp: {addr: "${host}"}\n`);
  return path;
}

async function soon(holds: () => Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 200; tries++) {
    if (await holds()) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}
