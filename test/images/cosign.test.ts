import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { pushImage, startDockerRegistry, withoutDockerRegistry } from "../harness/docker-registry.ts";
import { openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer } from "./registry.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

/** cosign itself, of version 3: in Debian since forky. */
const cosign = process.env["BERTH_TEST_COSIGN"] ?? "/usr/bin/cosign";
const skip = withoutDockerRegistry || (!existsSync(cosign) && `${cosign} is not installed`);

/** Without transparency logs, which are on the internet. */
const offline = ["--use-signing-config=false", "--tlog-upload=false", "--allow-http-registry", "--yes"];

for (const [format, flags, rule] of [
  ["the older format", ["--new-bundle-format=false"], ""],
  ["a bundle", [], "bundles = true"],
] as const) {
  test(`cosign: what it signs with a key counts, in ${format}`, { skip }, async () => {
    await using folder = await temporaryFolder();
    await using registry = await startDockerRegistry(folder.path);
    const options = {
      cwd: folder.path,
      env: { ...process.env, HOME: folder.path, COSIGN_PASSWORD: "" },
    };
    for (const name of ["ours", "theirs"])
      await run(cosign, ["generate-key-pair", "--output-key-prefix", name], options);
    const policyFor = (key: string): Promise<void> =>
      writeFile(
        join(folder.path, "policy.toml"),
        `[default]\nrule = "signed"\nkeys = ["${key}.pub"]\n${rule}\n`,
      );
    await policyFor("ours");
    const signaturePolicy = join(folder.path, "policy.toml");
    await using opened = await openTestImages(folder.path, { signaturePolicy });
    const layers = [gzipLayer([{ name: "f", data: "f" }])];
    const { manifest } = await pushImage(registry.host, { repository: "team/app", tag: "1" }, "oci", layers);
    const name = `${registry.host}/team/app`;
    const pull = () => opened.images.pull({ reference: `${name}:1`, job: testJob(), signal });
    await assert.rejects(pull(), { message: /^SignatureValidationFailed: .*it has no signature/ });
    await run(cosign, ["sign", ...offline, ...flags, "--key", "ours.key", `${name}@${manifest}`], options);
    assert.equal((await pull()).reference, `${name}@${manifest}`);
    await policyFor("theirs");
    await assert.rejects(pull(), { message: /^SignatureValidationFailed: .*made with another key/ });
  });
}
