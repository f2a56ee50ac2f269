import assert from "node:assert/strict";
import { test } from "node:test";
import {
  imageFormats,
  pushImage,
  startDockerRegistry,
  withoutDockerRegistry,
} from "../harness/docker-registry.ts";
import { openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer } from "./registry.ts";

const { signal } = new AbortController();

test(
  "docker-registry: OCI and Docker images pushed to it are pulled",
  { skip: withoutDockerRegistry },
  async () => {
    await using folder = await temporaryFolder();
    await using registry = await startDockerRegistry(folder.path);
    await using opened = await openTestImages(folder.path);
    const layers = ["one", "two"].map((name) => gzipLayer([{ name, data: name.repeat(100_000) }]));
    const repository = "team/app";
    for (const format of Object.keys(imageFormats) as (keyof typeof imageFormats)[]) {
      const pushed = await pushImage(registry.host, { repository, tag: format }, format, layers);
      const pulled = await opened.images.pull({
        reference: `${registry.host}/${repository}:${format}`,
        job: testJob(),
        signal,
      });
      assert.equal(pulled.image.id, pushed.config);
      assert.equal(pulled.reference, `${registry.host}/${repository}@${pushed.manifest}`);
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
