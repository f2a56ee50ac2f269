import assert from "node:assert/strict";
import { test } from "node:test";
import type { PartProgress } from "../../src/core/job.ts";
import {
  imageFormats,
  pushImage as putIntoDockerRegistry,
  startDockerRegistry,
  withoutDockerRegistry,
} from "../harness/docker-registry.ts";
import { openTestImages, temporaryFolder, testJob, type TestStore } from "./harness.ts";
import { gzipLayer, putImage, sha256, startRegistry, type TestRegistry } from "./registry.ts";

const { signal } = new AbortController();
const noise = (seed: number, size: number): Buffer =>
  Buffer.from(
    Array.from({ length: size }, (_, index) => (index * (7919 + seed) + ((index * index) >> 7)) % 251),
  );
const small = gzipLayer([{ name: "small", data: "small" }]);
const large = gzipLayer([{ name: "large", data: noise(1, 60_000) }]);
const chunkBytes = 1000;

const withMethod = (registry: TestRegistry, method: string): readonly string[] =>
  registry.seen.filter((request) => request.method === method).map(({ url }) => url);

/** An image `team/a:1` in a registry and in a store. */
async function arrange(change: Parameters<typeof openTestImages>[1] = {}): Promise<
  AsyncDisposable & {
    readonly registry: TestRegistry;
    readonly opened: TestStore;
    readonly digest: string;
    readonly source: string;
  }
> {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const registry = stack.use(await startRegistry());
  const opened = stack.use(await openTestImages(folder.path, { uploadChunkBytes: chunkBytes, ...change }));
  const { manifest } = putImage(registry, "team/a", "1", [small, large]);
  const source = `${registry.host}/team/a:1`;
  await opened.images.pull({ reference: source, job: testJob(), signal });
  registry.seen.length = 0;
  return {
    registry,
    opened,
    digest: manifest,
    source,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

test("tag: a further name, which leaves the image that had it, and stays after a restart", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  putImage(registry, "a", "1", [small]);
  putImage(registry, "a", "2", [large]);
  {
    await using opened = await openTestImages(folder.path);
    const { images } = opened;
    for (const tag of ["1", "2"]) {
      await images.pull({ reference: `${registry.host}/a:${tag}`, job: testJob(), signal });
    }
    const first = images.resolve(`${registry.host}/a:1`);
    const tagged = await images.tag(`${registry.host}/a:1`, "busybox");
    assert.deepEqual(tagged.tags, [`${registry.host}/a:1`, "docker.io/library/busybox:latest"]);
    assert.equal(tagged.id, first?.id);
    await images.tag(first?.id.slice(7, 20) ?? "", "team/app:v1");
    const moved = await images.tag(`${registry.host}/a:2`, "team/app:v1");
    assert.deepEqual(moved.tags, [`${registry.host}/a:2`, "docker.io/team/app:v1"]);
    assert.equal(images.resolve("team/app:v1")?.id, moved.id);
    for (const [source, target, code, message] of [
      ["nobody:1", "x", "not-found", /image nobody:1 not found/],
      ["busybox", "UPPER", "invalid-argument", /lower case/],
      ["busybox", `x@${sha256(small.blob)}`, "invalid-argument", /tags, not digests/],
    ] as const) {
      await assert.rejects(images.tag(source, target), { code, message });
    }
  }
  await using opened = await openTestImages(folder.path);
  assert.deepEqual(opened.images.resolve("busybox")?.tags, [
    `${registry.host}/a:1`,
    "docker.io/library/busybox:latest",
  ]);
});

test("push: layers are mounted from the repository that they came from, the manifest stays byte for byte", async () => {
  await using world = await arrange();
  const { registry, opened, source, digest } = world;
  const job = testJob();
  // The registry has its blobs for all repositories: only what a repository may not see is asked for.
  registry.trick = (request, response) => {
    if (request.method !== "HEAD") return false;
    response.writeHead(404).end();
    return true;
  };
  const target = `${registry.host}/other/b:2`;
  const pushed = await opened.images.push({ source, target, job, signal });
  assert.equal(pushed, `${registry.host}/other/b@${digest}`);
  assert.deepEqual(registry.manifest("other/b", "2"), registry.manifest("team/a", "1"));
  const posts = withMethod(registry, "POST");
  assert.equal(posts.filter((url) => /mount=sha256%3A\w+&from=team%2Fa$/.test(url)).length, 2);
  assert.equal(job.notes.filter((note) => /: mounted from 127.0.0.1:\d+\/team\/a$/.test(note)).length, 2);
  assert.equal(withMethod(registry, "PATCH").length, 0);
  assert.equal(registry.uploads.size, 0);
});

test("push: what the repository has is neither mounted nor sent again", async () => {
  await using world = await arrange();
  const { registry, opened, source } = world;
  let look = (): readonly PartProgress[] => [];
  await opened.images.push({ source, job: testJob(), signal, onLayers: (given) => (look = given) });
  assert.deepEqual(
    registry.seen.map(({ method }) => method).sort(),
    ["HEAD", "HEAD", "HEAD", "PUT"],
    "three blobs are looked for, the manifest is put",
  );
  assert.deepEqual(
    look().map(({ stage }) => stage),
    ["ready", "ready"],
  );
});

for (const keepBlobs of ["all", "local"] as const) {
  const from = keepBlobs === "all" ? "kept blobs" : "the registry that the image came from";
  test(`push: to another registry, from ${from}, in pieces and whole`, async () => {
    await using world = await arrange({ keepBlobs });
    await using other = await startRegistry();
    const { registry, opened, source, digest } = world;
    let look = (): readonly PartProgress[] => [];
    const job = testJob();
    const target = `${other.host}/copy/a:1`;
    await opened.images.push({ source, target, job, signal, onLayers: (given) => (look = given) });
    assert.deepEqual(other.manifest("copy/a", "1"), registry.manifest("team/a", digest));
    for (const { blob } of [small, large]) assert.deepEqual(other.blob(sha256(blob)), Buffer.from(blob));
    const patches = Math.ceil(large.blob.length / chunkBytes);
    assert.ok(patches > 3);
    assert.equal(withMethod(other, "PATCH").length, patches);
    const fetched = registry.seen.filter(({ method, url }) => method === "GET" && url.includes("/blobs/"));
    assert.equal(fetched.length, keepBlobs === "all" ? 0 : 2);
    assert.deepEqual(
      look().map(({ stage, doneBytes, peer }) => [stage, doneBytes, peer]),
      [
        ["done", small.blob.length, other.host],
        ["done", large.blob.length, other.host],
      ],
    );
    assert.equal(job.notes.filter((note) => note.includes(` bytes to ${other.host} in `)).length, 2);
    assert.equal(other.uploads.size, 0);
    // What was pushed is what can be pulled.
    await using folder = await temporaryFolder();
    await using fresh = await openTestImages(folder.path);
    const pulled = await fresh.images.pull({ reference: target, job: testJob(), signal });
    assert.equal(pulled.reference, `${other.host}/copy/a@${digest}`);
  });
}

test("push: a transfer that breaks goes on where the registry says, one that it forgot begins anew", async () => {
  await using world = await arrange({ keepBlobs: "all" });
  await using other = await startRegistry();
  let cuts = 0;
  let forgotten = 0;
  other.trick = (request, response) => {
    if (
      request.method === "PATCH" &&
      (cuts === 0 || cuts === 1) &&
      /state=[1-9]\d\d/.test(request.url ?? "")
    ) {
      cuts += 1;
      request.once("data", () => response.destroy());
      return true;
    }
    // A whole one breaks once too.
    if (request.method === "PUT" && forgotten === 0 && request.headers["content-length"] !== "0") {
      forgotten += 1;
      request.once("data", () => response.destroy());
      return true;
    }
    return false;
  };
  const target = `${other.host}/copy/a:1`;
  await world.opened.images.push({ source: world.source, target, job: testJob(), signal });
  assert.equal(cuts, 2);
  assert.equal(forgotten, 1);
  assert.equal(withMethod(other, "GET").filter((url) => url.includes("/uploads/")).length, 2);
  assert.deepEqual(other.blob(sha256(large.blob)), Buffer.from(large.blob));
  assert.equal(other.uploads.size, 0, "what was begun is finished or cancelled");
});

/** Answers the first request of each kind with 429; the milliseconds from there to its next try. */
function busyOnce(registry: TestRegistry, retryAfter: string): ReadonlyMap<string, number> {
  const refusedAt = new Map<string, number>();
  const waitedMs = new Map<string, number>();
  registry.trick = (request, response) => {
    const path = request.url?.replace(/^.*\/(manifests|uploads|blobs)\/.*$/, "$1") ?? "";
    const kind = `${request.method ?? ""} ${path}${request.headers["content-length"] === "0" ? ", empty" : ""}`;
    const at = refusedAt.get(kind);
    if (at !== undefined) {
      if (!waitedMs.has(kind)) waitedMs.set(kind, performance.now() - at);
      return false;
    }
    request.resume();
    request.once("end", () => {
      refusedAt.set(kind, performance.now());
      response.writeHead(429, { "retry-after": retryAfter }).end();
    });
    return true;
  };
  return waitedMs;
}

test("push, pull: a registry that asks for a pause gets it, for every kind of request", async () => {
  await using world = await arrange({ keepBlobs: "all" });
  await using other = await startRegistry();
  const target = `${other.host}/copy/a:1`;
  // One layer: one request after the other.
  putImage(world.registry, "team/one", "1", [large]);
  const source = `${world.registry.host}/team/one:1`;
  await world.opened.images.pull({ reference: source, job: testJob(), signal });
  // Longer than the second try waits by itself.
  const pushed = busyOnce(other, "1");
  await world.opened.images.push({ source, target, job: testJob(), signal });
  const uploads = [
    "POST uploads, empty",
    "PATCH uploads",
    "GET uploads",
    "PUT uploads, empty",
    "PUT uploads",
  ];
  const kinds = ["HEAD blobs", ...uploads, "PUT manifests"];
  assert.deepEqual([...pushed.keys()].toSorted(), kinds.toSorted());
  const pulled = busyOnce(other, "1");
  await using folder = await temporaryFolder();
  await using fresh = await openTestImages(folder.path);
  await fresh.images.pull({ reference: target, job: testJob(), signal });
  assert.deepEqual([...pulled.keys()].toSorted(), ["GET blobs", "GET manifests"]);
  for (const [kind, ms] of [...pushed, ...pulled]) assert.ok(ms >= 990, `${kind}: ${ms} ms`);
});

for (const method of ["POST", "PATCH", "PUT"]) {
  test(`push: a ${method} that is to wait for longer than is waited fails, with nothing left behind`, async () => {
    await using world = await arrange({ keepBlobs: "all" });
    await using other = await startRegistry();
    const { source } = world;
    other.trick = (request, response) => {
      if (request.method !== method) return false;
      request.resume();
      response.writeHead(503, { "retry-after": "3600" }).end();
      return true;
    };
    const push = world.opened.images.push({ source, target: `${other.host}/a:1`, job: testJob(), signal });
    await assert.rejects(push, { code: "unavailable", message: /answered 503/ });
    assert.equal(other.uploads.size, 0);
    // Layers go side by side: each asks once.
    assert.ok(withMethod(other, method).length <= 2);
  });
}

test("push: a registry that takes no pieces gets the blob whole; its least size of a piece is kept to", async () => {
  await using world = await arrange({ keepBlobs: "all" });
  await using whole = await startRegistry();
  whole.trick = (request, response) => {
    if (request.method !== "PATCH") return false;
    request.resume();
    response.writeHead(405).end();
    return true;
  };
  await using picky = await startRegistry();
  picky.trick = (request, response) => {
    if (request.method === "POST") response.setHeader("oci-chunk-min-length", "20000");
    return false;
  };
  const push = (host: string) =>
    world.opened.images.push({ source: world.source, target: `${host}/a:1`, job: testJob(), signal });
  await push(whole.host);
  assert.deepEqual(whole.blob(sha256(large.blob)), Buffer.from(large.blob));
  assert.equal(withMethod(whole, "PATCH").length, 1);
  await push(picky.host);
  assert.equal(withMethod(picky, "PATCH").length, Math.ceil(large.blob.length / 20_000));
});

test("push: a token with push scope is asked for, and goes to the registry alone", async () => {
  await using world = await arrange({ keepBlobs: "all" });
  await using other = await startRegistry();
  await using elsewhere = await startRegistry();
  const asked: string[] = [];
  other.trick = (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (url.pathname === "/token") {
      const basic = `Basic ${Buffer.from("u:secret").toString("base64")}`;
      asked.push(url.searchParams.get("scope") ?? "");
      const scope = url.searchParams.get("scope")?.split(":").at(-1) ?? "";
      response.writeHead(request.headers.authorization === basic ? 200 : 401);
      response.end(JSON.stringify({ token: scope }));
      return true;
    }
    const needs = ["GET", "HEAD"].includes(request.method ?? "") ? "pull" : "pull,push";
    const has = /^Bearer (.*)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (!has.startsWith(needs)) {
      request.resume();
      const scope = `repository:${url.pathname.split("/")[2] ?? ""}:${needs}`;
      const challenge = `Bearer realm="http://${other.host}/token",service="s",scope="${scope}"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return true;
    }
    // The large layer is to go to another host, as some registries have it.
    if (request.method === "POST") {
      const upload = "/v2/a/blobs/uploads/";
      fetch(`http://${elsewhere.host}${upload}`, { method: "POST" }).then(
        (begun) => {
          const location = `http://${elsewhere.host}${begun.headers.get("location") ?? ""}`;
          response.writeHead(202, { location }).end();
        },
        () => response.destroy(),
      );
      return true;
    }
    return false;
  };
  const push = (auth?: object) =>
    world.opened.images.push({
      ...{ source: world.source, target: `${other.host}/a:1`, job: testJob(), signal },
      ...(auth && { auth }),
    });
  await push({ username: "u", password: "secret" });
  assert.ok(asked.includes("repository:a:pull,push"), asked.join(" "));
  assert.ok(other.manifest("a", "1") !== undefined);
  assert.ok(elsewhere.seen.length > 5);
  for (const { authorization } of elsewhere.seen) assert.equal(authorization, undefined);
  await assert.rejects(push({ username: "u", password: "wrong" }), (thrown: Error & { code?: string }) => {
    assert.equal(thrown.code, "unauthenticated");
    assert.doesNotMatch(thrown.message, /wrong|secret/);
    return true;
  });
});

test("push: errors name what and where, and leave no upload behind", async () => {
  await using world = await arrange();
  await using other = await startRegistry();
  const { registry, opened, source, digest } = world;
  const push = (change: { readonly source?: string; readonly target?: string }) =>
    opened.images.push({ source, job: testJob(), signal, ...change });
  await assert.rejects(push({ source: "nobody" }), { code: "not-found", message: /image nobody not found/ });
  await assert.rejects(push({ source: digest.slice(7, 20), target: "x@sha256:1" }), { code: "not-found" });
  const { id } = opened.images.resolve(source) ?? { id: "" };
  await assert.rejects(push({ source: id }), {
    code: "invalid-argument",
    message: /is an id: say which name/,
  });
  const elsewhere = `${other.host}/a@${sha256(small.blob)}`;
  await assert.rejects(push({ target: elsewhere }), {
    code: "failed-precondition",
    message: /by this digest/,
  });

  const target = `${other.host}/a:1`;
  other.trick = (request, response) => {
    if (request.method !== "PUT" || !request.url?.includes("/uploads/")) return false;
    request.resume();
    response.writeHead(400).end(JSON.stringify({ errors: [{ code: "DIGEST_INVALID", message: "no" }] }));
    return true;
  };
  await assert.rejects(push({ target }), {
    code: "invalid-argument",
    message: /^layer sha256:\w+ to 127.0.0.1:\d+\/a:1: 127.0.0.1:\d+ answered 400: DIGEST_INVALID: no$/,
  });
  assert.equal(other.uploads.size, 0);
  assert.equal(other.manifest("a", "1"), undefined, "no name leads to a half of an image");

  // Its registry has lost the layer, and it was not kept.
  other.trick = () => false;
  registry.trick = (_request, response) => {
    response.writeHead(404).end();
    return true;
  };
  await assert.rejects(push({ target }), {
    code: "not-found",
    message: /^layer sha256:\w+ of image .*answered 404/,
  });
  assert.equal(other.uploads.size, 0);

  const controller = new AbortController();
  other.trick = (request) => {
    if (request.method === "POST") controller.abort();
    return request.method === "POST";
  };
  const cancelled = opened.images.push({ source, target, job: testJob(), signal: controller.signal });
  await assert.rejects(cancelled, { code: "aborted" });
});

test("push: a registry that takes no byte, or never answers, is given up", async () => {
  await using world = await arrange({ keepBlobs: "all", stallTimeoutMs: 100 });
  await using other = await startRegistry();
  other.trick = (request) => request.method === "PUT" && request.url?.includes("/uploads/") === true;
  const target = `${other.host}/a:1`;
  const { source, opened } = world;
  await assert.rejects(opened.images.push({ source, target, job: testJob(), signal }), {
    code: "unavailable",
    message: /^RegistryUnavailable: layer sha256:\w+ to .*\/a:1: cannot reach .*: it did not answer for 1 s/,
  });
});

test("push: an image that was imported is pushed from what is kept of it", async () => {
  await using world = await arrange();
  await using other = await startRegistry();
  await using folder = await temporaryFolder();
  await using fresh = await openTestImages(folder.path);
  const archive = world.opened.images.save([world.source], signal);
  await fresh.images.import({ stream: archive, job: testJob(), signal });
  const [image] = fresh.images.list();
  assert.ok(image !== undefined);
  const target = `${other.host}/imported:1`;
  await fresh.images.push({ source: image.id, target, job: testJob(), signal });
  assert.equal(sha256(other.manifest("imported", "1") ?? Buffer.alloc(0)), world.digest);
});

test(
  "push: Debian's registry takes it, mounts, and gives it back",
  { skip: withoutDockerRegistry },
  async () => {
    await using folder = await temporaryFolder();
    await using registry = await startDockerRegistry(folder.path);
    await using opened = await openTestImages(folder.path, { uploadChunkBytes: 10_000 });
    const layers = [small, large];
    for (const format of Object.keys(imageFormats) as (keyof typeof imageFormats)[]) {
      const put = await putIntoDockerRegistry(
        registry.host,
        { repository: "a", tag: format },
        format,
        layers,
      );
      const source = `${registry.host}/a:${format}`;
      await opened.images.pull({ reference: source, job: testJob(), signal });
      const job = testJob();
      const target = `${registry.host}/mounted/${format}:1`;
      const pushed = await opened.images.push({ source, target, job, signal });
      assert.equal(pushed, `${registry.host}/mounted/${format}@${put.manifest}`);
      assert.equal(job.notes.filter((note) => note.includes("mounted from")).length, 2);
      const pulled = await opened.images.pull({ reference: target, job: testJob(), signal });
      assert.equal(pulled.reference, pushed);
    }
    await using others = await temporaryFolder();
    await using second = await startDockerRegistry(others.path);
    const target = `${second.host}/b:1`;
    await opened.images.push({ source: `${registry.host}/a:oci`, target, job: testJob(), signal });
    await opened.images.pull({ reference: target, job: testJob(), signal });
  },
);
