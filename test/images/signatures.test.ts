import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { listPaths, openTestImages, temporaryFolder, testJob, type TestStore } from "./harness.ts";
import { gzipLayer, ociTypes, putImage, sha256, startRegistry, type TestRegistry } from "./registry.ts";

const { signal } = new AbortController();
const layer = gzipLayer([{ name: "f", data: "f" }]);
const ours = generateKeyPairSync("ec", { namedCurve: "P-256" });
const theirs = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ed25519 = generateKeyPairSync("ed25519");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const spki = { type: "spki", format: "pem" } as const;
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export(spki);
const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export(spki);
const sentinel = /^SignatureValidationFailed: image /;
const artifactType = "application/vnd.dev.cosign.artifact.sig.v1+json";

/** What cosign signs; `change` may spoil it. */
function payloadFor(repository: string, digest: string, change: object = {}): Buffer {
  const critical = {
    identity: { "docker-reference": repository },
    image: { "docker-manifest-digest": digest },
    type: "cosign container image signature",
    ...change,
  };
  return Buffer.from(JSON.stringify({ critical, optional: null }));
}

function signatureOf(payload: Buffer, key: KeyObject): string {
  return sign(key.asymmetricKeyType === "ed25519" ? null : "sha256", payload, key).toString("base64");
}

/** A manifest of signatures, as cosign makes it. */
function signatureManifest(
  registry: TestRegistry,
  signed: readonly { readonly payload: Buffer; readonly signature: string }[],
): Buffer {
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociTypes.manifest,
      config: { mediaType: ociTypes.config, digest: registry.putBlob(Buffer.from("{}")), size: 2 },
      layers: signed.map(({ payload, signature }) => ({
        mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
        digest: registry.putBlob(payload),
        size: payload.length,
        annotations: { "dev.cosignproject.cosign/signature": signature },
      })),
    }),
  );
}

function putSignatures(
  registry: TestRegistry,
  repository: string,
  digest: string,
  ...signed: { readonly payload: Buffer; readonly signature: string }[]
): void {
  const manifest = signatureManifest(registry, signed);
  registry.putManifest(repository, `${digest.replace(":", "-")}.sig`, manifest, ociTypes.manifest);
}

interface World extends AsyncDisposable {
  readonly registry: TestRegistry;
  readonly opened: TestStore;
  /** `registry/team/app`, unsigned, and its digest. */
  readonly name: string;
  readonly digest: string;
  readonly path: string;
  readonly policy: (text: string) => Promise<void>;
  readonly pull: (reference?: string) => Promise<string>;
  readonly sign: (key?: KeyObject, change?: object, signedAs?: string) => void;
}

/** A store with a policy that wants our signature of what is below `registry/team`, and takes nothing else. */
async function arrange(): Promise<World> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const registry = stack.use(await startRegistry());
  const path = join(folder.path, "policy.toml");
  const keys = { ours, theirs, ed25519, rsa };
  for (const [name, pair] of Object.entries(keys)) {
    await writeFile(join(folder.path, `${name}.pub`), pair.publicKey.export(spki));
  }
  const policy = (text: string): Promise<void> => writeFile(path, text);
  const scope = `[scope."${registry.host}/team"]`;
  await policy(`[default]\nrule = "reject"\n${scope}\nrule = "signed"\nkeys = ["ours.pub"]\n`);
  const opened = stack.use(await openTestImages(folder.path, { signaturePolicy: path }));
  const { manifest: digest } = putImage(registry, "team/app", "1", [layer]);
  const name = `${registry.host}/team/app`;
  return {
    registry,
    opened,
    name,
    digest,
    path,
    policy,
    pull: async (reference = `${name}:1`) =>
      (await opened.images.pull({ reference, job: testJob(), signal })).reference,
    sign: (key = ours.privateKey, change = {}, signedAs = name) => {
      const payload = payloadFor(signedAs, digest, change);
      putSignatures(registry, "team/app", digest, { payload, signature: signatureOf(payload, key) });
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test("signatures: an image signed by its key is pulled, unsigned not one byte of a layer is asked for", async () => {
  await using world = await arrange();
  const { registry, opened, name, digest, pull, sign: signImage } = world;
  const before = await listPaths(opened.root);
  await assert.rejects(pull(), {
    code: "permission-denied",
    message: new RegExp(
      `^SignatureValidationFailed: image ${name}:1: it has no signature; .*policy.toml, scope .*ours.pub$`,
    ),
  });
  assert.equal(
    registry.seen.some(({ url }) => url.includes("/blobs/")),
    false,
  );
  assert.deepEqual(await listPaths(opened.root), before);
  signImage();
  assert.equal(await pull(), `${name}@${digest}`);
  assert.equal(await pull(`${name}@${digest}`), `${name}@${digest}`);
  const job = testJob();
  await opened.images.pull({ reference: `${name}:1`, job, signal });
  assert.match(job.notes.join("\n"), /^signed by sha256-[0-9a-f]{64}\.sig\[0\]$/m);
});

for (const [kind, pair] of Object.entries({ "ECDSA P-256": ours, Ed25519: ed25519, RSA: rsa })) {
  test(`signatures: ${kind}, as one of several keys, among other signatures`, async () => {
    await using world = await arrange();
    const { registry, digest, name } = world;
    await world.policy('[default]\nrule = "signed"\nkeys = ["ours.pub", "ed25519.pub", "rsa.pub"]\n');
    const payload = payloadFor(name, digest);
    const bad = { payload, signature: signatureOf(payload, theirs.privateKey) };
    putSignatures(registry, "team/app", digest, bad, {
      payload,
      signature: signatureOf(payload, pair.privateKey),
    });
    await world.pull();
    putSignatures(registry, "team/app", digest, bad);
    await assert.rejects(world.pull(), { code: "permission-denied", message: /made with another key/ });
  });
}

const other = `sha256:${"0".repeat(64)}`;
for (const [what, change, message] of [
  ["another image", { image: { "docker-manifest-digest": other } }, /it is for sha256:0+, not for sha256:/],
  ["no digest", { image: {} }, /it is for no digest/],
  [
    "another repository",
    { identity: { "docker-reference": "registry.example/team/app" } },
    /it is for registry\.example/,
  ],
  ["a name that is none", { identity: { "docker-reference": "A B" } }, /it names no image but \\?"A B/],
  ["no name", { identity: {} }, /it names no image/],
  ["something else", { type: "atomic container signature" }, /is no cosign container image signature/],
] as const) {
  test(`signatures: one of ${what} does not count`, async () => {
    await using world = await arrange();
    world.sign(ours.privateKey, change);
    await assert.rejects(world.pull(), { code: "permission-denied", message });
    await assert.rejects(world.pull(), { message: sentinel });
  });
}

test("signatures: a payload that was changed after it was signed does not count", async () => {
  await using world = await arrange();
  const { registry, digest, name } = world;
  const signature = signatureOf(payloadFor(name, other), ours.privateKey);
  putSignatures(registry, "team/app", digest, { payload: payloadFor(name, digest), signature });
  await assert.rejects(world.pull(), { message: /made with another key/ });
  putSignatures(registry, "team/app", digest, { payload: payloadFor(name, digest), signature: "no base64!" });
  await assert.rejects(world.pull(), { message: /is not base64/ });
});

test("signatures: a signature that names a tag is for that tag alone; by digest there is none", async () => {
  await using world = await arrange();
  const { registry, name, digest } = world;
  world.sign(ours.privateKey, { identity: { "docker-reference": `${name}:1` } });
  await world.pull();
  registry.putManifest(
    "team/app",
    "2",
    Buffer.from(registry.manifest("team/app", "1") ?? ""),
    ociTypes.manifest,
  );
  await assert.rejects(world.pull(`${name}:2`), {
    message: /it is for 127\.0\.0\.1:\d+\/team\/app:1, not for/,
  });
  await world.pull(`${name}@${digest}`);
});

test("signatures: of an index, the index's own counts, not that of a manifest in it", async () => {
  await using world = await arrange();
  const { registry, name, digest, pull, sign: signImage } = world;
  signImage();
  const architecture = process.arch === "arm64" ? "arm64" : "amd64";
  const manifests = [
    { mediaType: ociTypes.manifest, digest, size: 1, platform: { os: "linux", architecture } },
  ];
  const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
  registry.putManifest("team/app", "multi", index, ociTypes.index);
  await assert.rejects(pull(`${name}:multi`), { message: /it has no signature/ });
  const payload = payloadFor(name, sha256(index));
  putSignatures(registry, "team/app", sha256(index), {
    payload,
    signature: signatureOf(payload, ours.privateKey),
  });
  assert.equal(await pull(`${name}:multi`), `${name}@${sha256(index)}`);
});

for (const way of ["the referrers API", "its fallback tag"] as const) {
  test(`signatures: found by ${way}`, async () => {
    await using world = await arrange();
    const { registry, name, digest } = world;
    const payload = payloadFor(name, digest);
    const manifest = signatureManifest(registry, [
      { payload, signature: signatureOf(payload, ours.privateKey) },
    ]);
    registry.putManifest("team/app", "unused", manifest, ociTypes.manifest);
    const entry = (type: string, of: string) => ({
      mediaType: ociTypes.manifest,
      artifactType: type,
      digest: of,
      size: 1,
    });
    const manifests = [entry("application/spdx+json", other), entry(artifactType, sha256(manifest))];
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
    if (way === "its fallback tag") {
      registry.putManifest("team/app", digest.replace(":", "-"), index, ociTypes.index);
    } else {
      registry.trick = (request, response) => {
        const url = new URL(request.url ?? "", "http://x");
        if (url.pathname !== `/v2/team/app/referrers/${digest}`) return false;
        response.writeHead(200, { "content-type": ociTypes.index }).end(index);
        return true;
      };
    }
    await world.pull();
    assert.equal(
      registry.seen.some(({ url }) => url.includes(other)),
      false,
    );
  });
}

/** A bundle as cosign 3 makes it, and the manifest that refers to the image with it. */
function bundleManifest(registry: TestRegistry, digest: string, key: KeyObject): Buffer {
  const type = "application/vnd.in-toto+json";
  const statement = JSON.stringify({
    _type: "https://in-toto.io/Statement/v1",
    subject: [{ digest: { sha256: digest.slice("sha256:".length) } }],
    predicateType: "https://sigstore.dev/cosign/sign/v1",
    predicate: {},
  });
  const envelope = {
    payload: Buffer.from(statement).toString("base64"),
    payloadType: type,
    signatures: [
      {
        sig: signatureOf(Buffer.from(`DSSEv1 ${type.length} ${type} ${statement.length} ${statement}`), key),
      },
    ],
  };
  const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
  const bundle = Buffer.from(JSON.stringify({ mediaType, dsseEnvelope: envelope }));
  const layers = [{ mediaType, digest: registry.putBlob(bundle), size: bundle.length }];
  const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: other, size: 2 };
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociTypes.manifest,
      artifactType: mediaType,
      config,
      layers,
    }),
  );
}

for (const type of ["application/vnd.oci.empty.v1+json", "application/vnd.dev.sigstore.bundle.v0.3+json"]) {
  test(`signatures: a bundle counts where the policy says so, listed as ${type}`, async () => {
    await using world = await arrange();
    const { registry, digest, pull } = world;
    const put = (key: KeyObject): void => {
      const manifest = bundleManifest(registry, digest, key);
      registry.putManifest("team/app", "unused", manifest, ociTypes.manifest);
      const manifests = [
        { mediaType: ociTypes.manifest, artifactType: type, digest: sha256(manifest), size: manifest.length },
      ];
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
      registry.putManifest("team/app", digest.replace(":", "-"), index, ociTypes.index);
    };
    put(ours.privateKey);
    await assert.rejects(pull(), { message: /a bundle, which names no repository: .*bundles = true/ });
    await world.policy('[default]\nrule = "signed"\nkeys = ["ours.pub"]\nbundles = true\n');
    await pull();
    put(theirs.privateKey);
    await assert.rejects(pull(), { code: "permission-denied", message: /made with another key/ });
  });
}

test("signatures: the longest scope wins, by whole parts of the name; a changed file counts at once", async () => {
  await using world = await arrange();
  const { registry, name, policy, pull } = world;
  const { host } = registry;
  putImage(registry, "teams/app", "1", [layer]);
  await policy(
    `[default]\nrule = "reject"\n[scope."${host}"]\nrule = "accept"\n[scope."${host}/team"]\nrule = "reject"\n` +
      `[scope."${host}/team/app"]\nrule = "accept"\n`,
  );
  await pull();
  await pull(`${host}/teams/app:1`);
  await assert.rejects(pull(`${host}/team/other:1`), {
    code: "permission-denied",
    message: new RegExp(
      `^SignatureValidationFailed: image ${host}/team/other:1: rejected by .*policy.toml, scope ${host}/team$`,
    ),
  });
  registry.seen.length = 0;
  await policy('[default]\nrule = "reject"\n');
  await assert.rejects(pull(), { message: /rejected by .*policy.toml, default$/ });
  assert.equal(registry.seen.length, 0, "a registry that nothing may be pulled from is not asked");
  await policy('[default]\nrule = "accept"\n');
  assert.match(await pull(), new RegExp(`^${name}@`));
});

test("signatures: signed_as names what the signature says of a copied repository", async () => {
  await using world = await arrange();
  const { registry, policy, pull, sign: signImage } = world;
  const scope = `[scope."${registry.host}/team"]\nrule = "signed"\nkeys = ["ours.pub"]\nsigned_as = "upstream.example/x"\n`;
  await policy(`[default]\nrule = "reject"\n${scope}`);
  signImage();
  await assert.rejects(pull(), { message: /not for upstream\.example\/x\/app/ });
  signImage(ours.privateKey, {}, "upstream.example/x/app");
  await pull();
});

const anyKey = 'keys = ["ours.pub"]';
for (const [text, message] of [
  ["", /it has no table \[default\]/],
  ["[default", /line 1/],
  ['[default]\nrule = "acept"', /default: rule: expected accept, reject or signed, not "acept"/],
  ["[default]", /rule: expected accept, reject or signed, not nothing/],
  ['[default]\nrule = "accept"\n[scopes]', /unknown key scopes/],
  ['[default]\nrule = "signed"', /default: keys: a signature needs a key/],
  [`[default]\nrule = "accept"\n${anyKey}`, /keys, signed_as and bundles belong to the rule signed/],
  ['[default]\nrule = "accept"\nbundles = true', /keys, signed_as and bundles belong to the rule signed/],
  [`[default]\nrule = "signed"\n${anyKey}\nbundles = "yes"`, /default: bundles: expected true or false/],
  ['[default]\nrule = "accept"\nkey = "x"', /default: unknown key key/],
  ['[default]\nrule = "signed"\nkeys = "ours.pub"', /keys: expected a list/],
  [`[default]\nrule = "signed"\n${anyKey}\nsigned_as = "a.b"`, /signed_as belongs to a scope/],
  [
    '[default]\nrule = "accept"\n[scope."team"]\nrule = "accept"',
    /scope "team": expected HOST or HOST\/PATH/,
  ],
  ['[default]\nrule = "accept"\n[scope."a.b/*"]\nrule = "accept"', /scope "a.b\/\*": expected/],
  [
    '[default]\nrule = "accept"\n[scope."docker.io"]\nrule = "accept"\n[scope."index.docker.io"]\nrule = "reject"',
    /scope docker.io is there twice/,
  ],
  ['[default]\nrule = "signed"\nkeys = ["none.pub"]', /signature key .*none.pub: cannot be read: ENOENT/],
  ['[default]\nrule = "signed"\nkeys = ["policy.toml"]', /signature key .*policy.toml: it is no public key/],
  ['[default]\nrule = "signed"\nkeys = ["private.pem"]', /private.pem: it is a private key/],
  [
    '[default]\nrule = "signed"\nkeys = ["p384.pub"]',
    /p384.pub: expected ECDSA P-256, Ed25519, or RSA of at least/,
  ],
  ['[default]\nrule = "signed"\nkeys = ["weak.pub"]', /weak.pub: expected ECDSA/],
] as const) {
  test(`signatures: nothing is pulled by the policy ${JSON.stringify(text)}`, async () => {
    await using world = await arrange();
    const folder = join(world.path, "..");
    await writeFile(join(folder, "private.pem"), ours.privateKey.export({ type: "pkcs8", format: "pem" }));
    await writeFile(join(folder, "p384.pub"), p384);
    await writeFile(join(folder, "weak.pub"), weak);
    world.sign();
    await world.policy(text);
    await assert.rejects(world.pull(), { code: "failed-precondition", message });
    await assert.rejects(world.pull(), { message: sentinel });
    assert.equal(world.registry.seen.length, 0);
  });
}

test("signatures: a policy that is not there lets nothing in", async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path, { signaturePolicy: join(folder.path, "none.toml") });
  await assert.rejects(opened.images.pull({ reference: "a.example/b", job: testJob(), signal }), {
    code: "failed-precondition",
    message:
      /^SignatureValidationFailed: image a\.example\/b:latest: signature policy .*none\.toml: cannot be read: ENOENT$/,
  });
});

const asManifest = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
for (const [what, manifest] of [
  ["no JSON", Buffer.from("{")],
  ["layers that are none", asManifest({ layers: "x" })],
  ["a digest that is a path", asManifest({ layers: [payloadLayer("sha256:../../etc/passwd", 10)] })],
  ["a payload of an impossible size", asManifest({ layers: [payloadLayer(other, 1e12)] })],
  ["a payload that is not there", asManifest({ layers: [payloadLayer(other, 10)] })],
] as const) {
  test(`signatures: a hostile registry's document with ${what} is refused`, async () => {
    await using world = await arrange();
    const { registry, digest } = world;
    registry.putManifest("team/app", `${digest.replace(":", "-")}.sig`, manifest, ociTypes.manifest);
    await assert.rejects(world.pull(), (thrown: Error) =>
      /^SignatureValidationFailed: |answered 404/.test(thrown.message),
    );
    assert.deepEqual(world.opened.images.list(), []);
  });
}

function payloadLayer(digest: string, size: number): object {
  const annotations = { "dev.cosignproject.cosign/signature": "AAAA" };
  return { mediaType: "application/vnd.dev.cosign.simplesigning.v1+json", digest, size, annotations };
}

test("signatures: a thousand of them are not all looked at", async () => {
  await using world = await arrange();
  const { registry, digest, name } = world;
  const many = Array.from({ length: 1000 }, (_, index) => {
    const payload = Buffer.concat([payloadFor(name, digest), Buffer.from(" ".repeat(index))]);
    return { payload, signature: createHash("sha256").update(payload).digest("base64") };
  });
  putSignatures(registry, "team/app", digest, ...many);
  await assert.rejects(world.pull(), { message: /made with another key/ });
  assert.ok(registry.seen.length < 100, `${registry.seen.length} requests`);
});

test("signatures: a registry that is down is that, and not a missing signature", async () => {
  await using world = await arrange();
  world.sign();
  world.registry.trick = (request, response) => {
    if (!request.url?.includes(".sig")) return false;
    response.writeHead(503, { "retry-after": "0" }).end();
    return true;
  };
  await assert.rejects(world.pull(), {
    code: "unavailable",
    message: /^RegistryUnavailable: signature sha256-/,
  });
});
