import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, ociTypes, sha256 } from "./registry.ts";

const program = "/usr/bin/docker-registry";
const { signal } = new AbortController();

/** Debian's registry on a free loopback port, storing below `folder`. */
async function startDockerRegistry(folder: string): Promise<AsyncDisposable & { readonly host: string }> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const host = `127.0.0.1:${(probe.address() as AddressInfo).port}`;
  await new Promise((resolve) => probe.close(resolve));
  await mkdir(join(folder, "data"));
  const config = `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${folder}/data}}\nhttp: {addr: "${host}"}\n`;
  await writeFile(join(folder, "config.yml"), config);
  const child = spawn(program, ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return;
    child.kill();
    await once(child, "exit");
  };
  for (let tries = 0; tries < 200; tries++) {
    if (
      await fetch(`http://${host}/v2/`).then(
        (answer) => answer.ok,
        () => false,
      )
    ) {
      return { host, [Symbol.asyncDispose]: stop };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  throw new Error("docker-registry does not answer");
}

async function pushBlob(base: string, bytes: Uint8Array): Promise<void> {
  const start = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const location = new URL(start.headers.get("location") ?? "", base);
  location.searchParams.set("digest", sha256(bytes));
  const done = await fetch(location, { method: "PUT", body: new Uint8Array(bytes) });
  assert.equal(done.status, 201, await done.text());
}

test(
  "docker-registry: OCI and Docker images pushed to it are pulled",
  { skip: !existsSync(program) && `${program} is not installed` },
  async () => {
    await using folder = await temporaryFolder();
    await using registry = await startDockerRegistry(folder.path);
    await using opened = await openTestImages(folder.path);
    const layers = ["one", "two"].map((name) => gzipLayer([{ name, data: name.repeat(100_000) }]));
    const config = Buffer.from(
      JSON.stringify({
        os: "linux",
        architecture: process.arch === "arm64" ? "arm64" : "amd64",
        rootfs: { type: "layers", diff_ids: layers.map(({ tar }) => sha256(tar)) },
      }),
    );
    const base = `http://${registry.host}/v2/team/app`;
    for (const bytes of [config, ...layers.map(({ blob }) => blob)]) await pushBlob(base, bytes);
    const docker = "application/vnd.docker";
    const kinds = {
      oci: { manifest: ociTypes.manifest, config: ociTypes.config, layer: ociTypes.gzip },
      docker: {
        manifest: `${docker}.distribution.manifest.v2+json`,
        config: `${docker}.container.image.v1+json`,
        layer: `${docker}.image.rootfs.diff.tar.gzip`,
      },
    };
    for (const [tag, types] of Object.entries(kinds)) {
      const manifest = JSON.stringify({
        schemaVersion: 2,
        mediaType: types.manifest,
        config: { mediaType: types.config, digest: sha256(config), size: config.length },
        layers: layers.map(({ blob }) => ({
          mediaType: types.layer,
          digest: sha256(blob),
          size: blob.length,
        })),
      });
      const put = await fetch(`${base}/manifests/${tag}`, {
        method: "PUT",
        headers: { "content-type": types.manifest },
        body: manifest,
      });
      assert.equal(put.status, 201, await put.text());
      const pulled = await opened.images.pull({
        reference: `${registry.host}/team/app:${tag}`,
        job: testJob(),
        signal,
      });
      assert.equal(pulled.image.id, sha256(config));
      assert.equal(pulled.reference, `${registry.host}/team/app@${sha256(Buffer.from(manifest))}`);
      const byDigest = await opened.images.pull({ reference: pulled.reference, job: testJob(), signal });
      assert.equal(byDigest.image.id, pulled.image.id);
    }
    assert.deepEqual(opened.images.list()[0]?.tags, [
      `${registry.host}/team/app:oci`,
      `${registry.host}/team/app:docker`,
    ]);
    const [image] = opened.images.list();
    assert.ok(image !== undefined);
    assert.equal((await opened.images.readImageFile(image, "two", 1e6))?.length, 300_000);
    const missing = opened.images.pull({
      reference: `${registry.host}/team/app:none`,
      job: testJob(),
      signal,
    });
    await assert.rejects(missing, {
      code: "not-found",
      message: /manifest of .*app:none: .*MANIFEST_UNKNOWN/,
    });
  },
);
