import assert from "node:assert/strict";
import { cp, mkdir, writeFile } from "node:fs/promises";
import type { ServerOptions } from "node:https";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { makeAuthority, type Certificate } from "./certificates.ts";
import { openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { startProxy } from "./proxy.ts";
import { gzipLayer, putImage, startRegistry } from "./registry.ts";

const { signal } = new AbortController();
const layer = gzipLayer([{ name: "f", data: "f" }]);

interface Chains {
  readonly ours: ReturnType<typeof makeAuthority>;
  readonly server: Certificate;
  readonly client: Certificate;
  readonly otherCa: Certificate;
  readonly wrongName: Certificate;
}
const state: { folder?: Awaited<ReturnType<typeof temporaryFolder>>; chains?: Chains } = {};
before(async () => {
  const folder = (state.folder = await temporaryFolder());
  const ours = makeAuthority(folder.path, "ours");
  state.chains = {
    ours,
    server: ours.issue("server", "IP:127.0.0.1"),
    client: ours.issue("client", "DNS:node"),
    otherCa: makeAuthority(folder.path, "other").ca,
    wrongName: ours.issue("wrong", "DNS:elsewhere.example"),
  };
});
after(() => state.folder?.[Symbol.asyncDispose]());

function chains(): Chains {
  if (state.chains === undefined) throw new Error("the certificates are not made");
  return state.chains;
}

/** A registry with TLS, and a store whose reg.example is that registry with `settings`. */
async function arrange(tls: ServerOptions, settings: string) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const registry = stack.use(await startRegistry(tls));
  putImage(registry, "a", "1", [layer]);
  const certsDir = join(folder.path, "certs.d");
  const own = join(certsDir, "reg.example");
  await mkdir(own, { recursive: true });
  await writeFile(join(own, "hosts.toml"), `server = "https://${registry.host}"\n${settings}\n`);
  const opened = stack.use(await openTestImages(folder.path, { certsDir }));
  const pull = (reference = "reg.example/a:1") => opened.images.pull({ reference, job: testJob(), signal });
  return { registry, pull, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("tls: a server of an unknown authority, or of another name, is refused", async () => {
  const { server, wrongName, ours, otherCa } = chains();
  for (const [certificate, settings, message] of [
    [server, "", /^RegistryUnavailable: .*(self-signed|unable to (get|verify))/],
    [server, `ca = "${otherCa.certFile}"`, /^RegistryUnavailable: /],
    [wrongName, `ca = "${ours.ca.certFile}"`, /^RegistryUnavailable: .*127\.0\.0\.1 is not in the cert/],
  ] as const) {
    await using world = await arrange({ cert: certificate.cert, key: certificate.key }, settings);
    await assert.rejects(world.pull(), { code: "unavailable", message });
    assert.equal(world.registry.seen.length, 0);
  }
});

test("tls: an authority by path, one of a list, and none with skip_verify", async () => {
  const { server, wrongName, ours, otherCa } = chains();
  for (const [certificate, settings] of [
    [server, `ca = "${ours.ca.certFile}"`],
    [server, `ca = ["${otherCa.certFile}", "${ours.ca.certFile}"]`],
    [wrongName, "skip_verify = true"],
  ] as const) {
    await using world = await arrange({ cert: certificate.cert, key: certificate.key }, settings);
    await world.pull();
  }
});

test("tls: a client's certificate, as a pair and in one file", async () => {
  const { server, client, ours } = chains();
  const both = join(client.certFile, "../both.pem");
  await writeFile(both, client.cert + client.key);
  const tls = {
    cert: server.cert,
    key: server.key,
    ca: ours.ca.cert,
    requestCert: true,
    rejectUnauthorized: true,
  };
  const ca = `ca = "${ours.ca.certFile}"`;
  for (const settings of [
    `client = [["${client.certFile}", "${client.keyFile}"]]`,
    `client = "${both}"`,
    `client = ["${both}"]`,
  ]) {
    await using world = await arrange(tls, `${ca}\n${settings}`);
    await world.pull();
  }
  await using world = await arrange(tls, ca);
  await assert.rejects(world.pull(), { code: "unavailable" });
  assert.equal(world.registry.seen.length, 0);
});

test("tls: a redirect to another host is not shown the client's certificate", async () => {
  const { server, client, ours } = chains();
  const tls = {
    cert: server.cert,
    key: server.key,
    ca: ours.ca.cert,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const settings = `ca = "${ours.ca.certFile}"\nclient = [["${client.certFile}", "${client.keyFile}"]]`;
  await using elsewhere = await startRegistry(tls);
  await using world = await arrange(tls, settings);
  putImage(elsewhere, "a", "1", [layer]);
  const shown = { registry: [] as string[], elsewhere: [] as string[] };
  const nameOf = (socket: unknown): string => {
    // Without a certificate this is an empty object, whatever its type says.
    const shownOne = (socket as TLSSocket).getPeerCertificate() as {
      readonly subject?: { readonly CN?: string };
    };
    return shownOne.subject?.CN ?? "";
  };
  world.registry.trick = (request, response) => {
    shown.registry.push(nameOf(request.socket));
    if (!(request.url ?? "").includes("/blobs/")) return false;
    response.writeHead(307, { location: `https://${elsewhere.host}${request.url ?? ""}` }).end();
    return true;
  };
  elsewhere.trick = (request) => {
    shown.elsewhere.push(nameOf(request.socket));
    return false;
  };
  await world.pull();
  assert.deepEqual(new Set(shown.registry), new Set(["ours client"]));
  assert.deepEqual(new Set(shown.elsewhere), new Set([""]));
});

test("tls: certificates that cannot be used are named", async () => {
  const { server, client, otherCa } = chains();
  for (const [settings, message] of [
    [`ca = "${client.keyFile}.absent"`, /cannot read the certificate .*\.absent: ENOENT/],
    [`ca = "/etc/hostname"`, /cannot read the certificate \/etc\/hostname: it is no PEM/],
    [`client = "${client.certFile}"`, /cannot use the certificates .*client\.crt\.pem/],
    [
      `client = [["${client.certFile}", "${otherCa.keyFile}"]]`,
      /cannot use the certificates .*client\.crt\.pem, .*key\.pem: .*mismatch/,
    ],
  ] as const) {
    await using world = await arrange({ cert: server.cert, key: server.key }, settings);
    await assert.rejects(world.pull(), { code: "failed-precondition", message });
  }
});

test("tls: Docker's files in a folder without hosts.toml", async () => {
  const { client, ours } = chains();
  const { cert, key } = ours.issue("docker", "DNS:reg.invalid");
  await using folder = await temporaryFolder();
  await using registry = await startRegistry({
    ...{ cert, key, ca: ours.ca.cert },
    requestCert: true,
    rejectUnauthorized: true,
  });
  putImage(registry, "a", "1", [layer]);
  // The proxy leads the name, which TLS is used for, to the registry.
  await using proxy = await startProxy(registry.host);
  const certsDir = join(folder.path, "certs.d");
  const own = join(certsDir, "reg.invalid");
  await mkdir(own, { recursive: true });
  const environment = { HTTPS_PROXY: `http://${proxy.host}` };
  await using opened = await openTestImages(folder.path, { certsDir, environment });
  const pull = () => opened.images.pull({ reference: "reg.invalid/a:1", job: testJob(), signal });
  await cp(ours.ca.certFile, join(own, "ca.crt"));
  await assert.rejects(pull(), { code: "unavailable" });
  await cp(client.certFile, join(own, "node.cert"));
  await cp(client.keyFile, join(own, "node.key"));
  await pull();
  assert.equal(registry.seen[0]?.url, "/v2/a/manifests/1");
});

test("tls: dial_timeout ends a handshake that does not come, and the next host is asked", async () => {
  const { server, ours } = chains();
  const silent = createServer(() => undefined);
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  try {
    const settings = `ca = "${ours.ca.certFile}"\n[host."https://127.0.0.1:${port}"]\ndial_timeout = "1s"`;
    await using world = await arrange({ cert: server.cert, key: server.key }, settings);
    const from = performance.now();
    await world.pull();
    const took = performance.now() - from;
    assert.ok(took > 900 && took < 8000, `${took} ms: one wait of a second, not of ten`);
  } finally {
    silent.close();
  }
});
