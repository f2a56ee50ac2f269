import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ImageStoreSettings } from "../../src/images/index.ts";
import { makeAuthority } from "./certificates.ts";
import { openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { startProxy } from "./proxy.ts";
import { gzipLayer, putImage, startRegistry } from "./registry.ts";

const { signal } = new AbortController();
const layer = gzipLayer([{ name: "f", data: "f" }]);
const basic = `Basic ${Buffer.from("user:hunter2").toString("base64")}`;

test("proxy: plain http goes by absolute URLs, loopback and NO_PROXY go without", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using proxy = await startProxy(registry.host);
  putImage(registry, "a", "1", [layer]);
  const open = (change: Partial<ImageStoreSettings>) =>
    openTestImages(folder.path, { insecureRegistries: ["reg.invalid"], ...change });
  const environment = { HTTP_PROXY: `http://user:hunter2@${proxy.host}` };
  {
    await using opened = await open({ environment });
    await opened.images.pull({ reference: "reg.invalid/a:1", job: testJob(), signal });
    assert.equal(proxy.seen[0]?.line, "GET http://reg.invalid/v2/a/manifests/1");
    assert.equal(proxy.seen.length, 3);
    assert.ok(proxy.seen.every(({ headers }) => headers["proxy-authorization"] === basic));
    await opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
    assert.equal(proxy.seen.length, 3, "loopback");
  }
  await using opened = await open({ environment: { ...environment, NO_PROXY: ".invalid" } });
  await assert.rejects(opened.images.pull({ reference: "reg.invalid/a:1", job: testJob(), signal }), {
    code: "unavailable",
  });
  assert.equal(proxy.seen.length, 3, "NO_PROXY");
});

test("proxy: TLS goes through a tunnel, is checked at its far end, and refusals name the proxy", async () => {
  await using folder = await temporaryFolder();
  const authority = makeAuthority(folder.path, "ours");
  const { cert, key } = authority.issue("server", "DNS:reg.invalid");
  await using registry = await startRegistry({ cert, key });
  await using proxy = await startProxy(registry.host);
  putImage(registry, "a", "1", [layer]);
  const certsDir = join(folder.path, "certs.d");
  await mkdir(join(certsDir, "reg.invalid"), { recursive: true });
  await writeFile(join(certsDir, "reg.invalid/hosts.toml"), `ca = "${authority.ca.certFile}"\n`);
  const environment = { HTTPS_PROXY: `http://user:hunter2@${proxy.host}` };
  await using opened = await openTestImages(folder.path, { environment, certsDir });
  const pull = (name: string) =>
    opened.images.pull({ reference: `${name}/a:1`, job: testJob(), signal: AbortSignal.timeout(20_000) });
  await pull("reg.invalid");
  assert.ok(proxy.seen.length > 0);
  assert.ok(proxy.seen.every(({ line }) => line === "CONNECT reg.invalid:443"));
  assert.ok(proxy.seen.every(({ headers }) => headers["proxy-authorization"] === basic));
  assert.equal(registry.seen.length, 3);
  assert.ok(registry.seen.every(({ headers }) => headers["proxy-authorization"] === undefined));

  await assert.rejects(pull("other.invalid"), { code: "unavailable", message: /^RegistryUnavailable: / });
  assert.equal(registry.seen.length, 3, "a certificate of another authority is refused in the tunnel too");

  proxy.status = 407;
  await assert.rejects(pull("third.invalid"), (thrown: Error) => {
    assert.match(thrown.message, new RegExp(`third\\.invalid by the proxy ${proxy.host}: .*407`));
    assert.ok(!thrown.message.includes("hunter2"));
    return true;
  });
});
