import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ErrorCode } from "../../src/core/errors.ts";
import { describeTree, listPaths, openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, ociTypes, putImage, sha256, startRegistry, type TestRegistry } from "./registry.ts";
import { buildTar } from "./tar-builder.ts";

const { signal } = new AbortController();
const good = gzipLayer([{ name: "good", data: "good" }]);
const noise = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 7919) % 251));
const big = gzipLayer([{ name: "big", data: noise }]);

/** An image `bad:1` of a good layer and one that is not, and what its pull must say. */
interface Case {
  readonly name: string;
  readonly code: ErrorCode;
  readonly message: RegExp;
  readonly arrange: (registry: TestRegistry) => void;
}

const twoLayers = (registry: TestRegistry): ReturnType<typeof putImage> =>
  putImage(registry, "bad", "1", [good, big]);

/** Answers every request whose path matches. */
const answer =
  (pattern: RegExp, status: number, headers: Record<string, string> = {}, body = ""): TestRegistry["trick"] =>
  (request, response) => {
    if (!pattern.test(request.url ?? "")) return false;
    response.writeHead(status, headers).end(body);
    return true;
  };

/** Sends as long as somebody reads. */
function withoutEnd(response: ServerResponse): true {
  const piece = Buffer.alloc(64 * 1024, 32);
  const more = (): void => {
    while (!response.destroyed && response.write(piece));
    if (!response.destroyed) response.once("drain", more);
  };
  response.on("error", () => undefined);
  more();
  return true;
}

const bigBlob = new RegExp(sha256(big.blob));

const cases: readonly Case[] = [
  {
    name: "a layer of another digest",
    code: "failed-precondition",
    message: /layer sha256:\w+ of 127.0.0.1:\d+\/bad:1: the content has digest sha256:/,
    arrange: (registry) => {
      twoLayers(registry);
      const other = Buffer.from(big.blob);
      // The gzip header's time: unpacks to the same tar.
      other[4] = 9;
      registry.putBlobAs(sha256(big.blob), other);
    },
  },
  {
    name: "a layer that unpacks to another diff id",
    code: "failed-precondition",
    message: /uncompressed it is sha256:\w+, the image's config says sha256:0000/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [good, big], {
        diffIds: [sha256(good.tar), `sha256:${"0".repeat(64)}`],
      });
    },
  },
  {
    name: "a truncated layer",
    code: "failed-precondition",
    message: /layer .*bad:1: truncated at \d+ of \d+ bytes/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.putBlobAs(sha256(big.blob), big.blob.subarray(0, big.blob.length / 2));
    },
  },
  {
    name: "a layer that does not end",
    code: "failed-precondition",
    message: /the registry sends more than \d+ bytes/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.putBlobAs(sha256(big.blob), Buffer.concat([big.blob, noise]));
    },
  },
  {
    name: "a gzip stream that is cut, with the right digest",
    code: "failed-precondition",
    message: /the gzip stream is truncated/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [good, { ...big, blob: big.blob.subarray(0, 1000) }]);
    },
  },
  {
    name: "a layer that is no tar",
    code: "failed-precondition",
    message: /not a tar archive/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [{ tar: noise, blob: gzipSync(noise), mediaType: ociTypes.gzip }]);
    },
  },
  {
    name: "a zip bomb",
    code: "resource-exhausted",
    message: /unpacks to more than 1000000 bytes/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [gzipLayer([{ name: "zeros", data: Buffer.alloc(2_000_000) }])]);
    },
  },
  {
    name: "401 without a challenge",
    code: "unauthenticated",
    message: /manifest of .*bad:1: 127.0.0.1:\d+ answered 401 .*: DENIED: who are you/,
    arrange: (registry) => {
      const errors = [{ code: "DENIED", message: "who are you" }];
      registry.trick = answer(/manifests/, 401, {}, JSON.stringify({ errors }));
    },
  },
  {
    name: "401 for every credential",
    code: "unauthenticated",
    message: /answered 401/,
    arrange: (registry) => {
      registry.trick = answer(/./, 401, { "www-authenticate": 'Basic realm="x"' });
    },
  },
  {
    name: "403",
    code: "permission-denied",
    message: /answered 403/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 403);
    },
  },
  {
    name: "404 for the manifest",
    code: "not-found",
    message: /manifest of .*bad:1: 127.0.0.1:\d+ answered 404 \(not found\): NAME_UNKNOWN: no such thing/,
    arrange: () => undefined,
  },
  {
    name: "404 for a layer",
    code: "not-found",
    message: /layer sha256:\w+ of .*bad:1: .* answered 404/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.trick = answer(bigBlob, 404);
    },
  },
  {
    name: "429 that asks for too long a wait",
    code: "unavailable",
    message: /answered 429 \(too many requests\)/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 429, { "retry-after": "3600" });
    },
  },
  {
    name: "503 for ever",
    code: "unavailable",
    message: /^RegistryUnavailable: manifest of .* answered 503/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 503, { "retry-after": "0" });
    },
  },
  {
    name: "no answer at all",
    code: "unavailable",
    message: /^RegistryUnavailable: manifest of .*bad:1: cannot reach 127.0.0.1:\d+: Headers Timeout/,
    arrange: (registry) => {
      registry.trick = () => true;
    },
  },
  {
    name: "a layer that stalls",
    code: "unavailable",
    message: /^RegistryUnavailable: layer sha256:\w+ of .*bad:1: the download stalled at \d+ of \d+ bytes/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.trick = (request, response) => {
        if (!bigBlob.test(request.url ?? "")) return false;
        response.writeHead(200);
        response.write(big.blob.subarray(0, 500));
        return true;
      };
    },
  },
  {
    name: "a range that begins too late",
    code: "unavailable",
    message: /the download broke \(the server sends from byte 400 when asked for byte 300\) at 300 of/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.trick = (request, response) => {
        if (!bigBlob.test(request.url ?? "")) return false;
        if (request.headers.range === undefined) {
          response.writeHead(200, { "content-length": big.blob.length });
          response.write(big.blob.subarray(0, 300), () => response.destroy());
        } else {
          response.writeHead(206, { "content-range": "bytes 400-999/1000" }).end(big.blob.subarray(400));
        }
        return true;
      };
    },
  },
  {
    name: "redirects in a circle",
    code: "unavailable",
    message: /redirects more than 5 times/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 307, { location: "/v2/bad/manifests/1" });
    },
  },
  {
    name: "a redirect to plain http elsewhere",
    code: "unavailable",
    message: /redirects to "http:\/\/192.0.2.1", which is not followed/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 307, { location: "http://192.0.2.1/x" });
    },
  },
  {
    name: "a manifest larger than its limit",
    code: "failed-precondition",
    message: /manifest of .*: larger than 4194304 bytes/,
    arrange: (registry) => {
      registry.putManifest("bad", "1", Buffer.alloc(4 * 1024 * 1024 + 1, 32), ociTypes.manifest);
    },
  },
  {
    name: "a manifest larger than its limit, without a length",
    code: "failed-precondition",
    message: /manifest of .*: larger than 4194304 bytes/,
    arrange: (registry) => {
      registry.trick = (_request, response) => {
        response.writeHead(200, { "content-type": ociTypes.manifest });
        for (let part = 0; part < 5; part++) response.write(Buffer.alloc(1024 * 1024, 32));
        response.end();
        return true;
      };
    },
  },
  {
    name: "a config of an impossible size",
    code: "failed-precondition",
    message: /its config is larger than/,
    arrange: (registry) => {
      const config = { mediaType: ociTypes.config, digest: sha256(good.blob), size: 1e12 };
      putImage(registry, "bad", "1", [good], { manifest: { config } });
    },
  },
  {
    name: "a digest that is a path",
    code: "invalid-argument",
    message: /not a sha256 digest: "sha256:\.\.\/\.\./,
    arrange: (registry) => {
      const layers = [{ mediaType: ociTypes.gzip, digest: "sha256:../../../../etc/passwd", size: 3 }];
      putImage(registry, "bad", "1", [good], { manifest: { layers } });
    },
  },
  {
    name: "a foreign layer",
    code: "failed-precondition",
    message: /is a foreign layer/,
    arrange: (registry) => {
      const mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
      const layers = [
        { mediaType, digest: sha256(good.blob), size: good.blob.length, urls: ["http://192.0.2.1/"] },
      ];
      putImage(registry, "bad", "1", [good], { manifest: { layers } });
    },
  },
  {
    name: "more layers in the manifest than in the config",
    code: "failed-precondition",
    message: /its manifest has 2 layers, its config 1/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [good, big], { diffIds: [sha256(good.tar)] });
    },
  },
  {
    name: "a manifest that claims to be an index",
    code: "failed-precondition",
    message: /it is no application\/vnd.oci.image.index/,
    arrange: (registry) => {
      const { manifest } = putImage(registry, "other", "1", [good]);
      registry.trick = (request, response) => {
        if (!(request.url ?? "").includes("/bad/")) return false;
        const bytes = JSON.stringify({ schemaVersion: 2, layers: [], config: { digest: manifest } });
        response.writeHead(200, { "content-type": ociTypes.index }).end(bytes);
        return true;
      };
    },
  },
  {
    name: "cve-2021-21285: bytes that are no JSON",
    code: "failed-precondition",
    message: /manifest of .*: it is not JSON/,
    arrange: (registry) => {
      registry.putManifest("bad", "1", Buffer.from([0xff, 0x00, 0x7b]), ociTypes.manifest);
    },
  },
  {
    name: "a hostile entry in a layer",
    code: "failed-precondition",
    message: /a path with "\.\." could leave the layer/,
    arrange: (registry) => {
      const tar = buildTar([{ name: "../../escape", data: "x" }]);
      putImage(registry, "bad", "1", [good, { tar, blob: tar, mediaType: ociTypes.plain }]);
    },
  },
  {
    name: "a layer that is smaller than the manifest says",
    code: "failed-precondition",
    message: /layer .*bad:1: truncated at \d+ of \d+ bytes/,
    arrange: (registry) => {
      const layers = [{ mediaType: ociTypes.gzip, digest: sha256(good.blob), size: good.blob.length + 10 }];
      putImage(registry, "bad", "1", [good], { manifest: { layers } });
    },
  },
  {
    name: "a layer that is larger than the manifest says",
    code: "failed-precondition",
    message: /layer .*bad:1: the registry sends more than \d+ bytes/,
    arrange: (registry) => {
      const layers = [{ mediaType: ociTypes.gzip, digest: sha256(good.blob), size: good.blob.length - 10 }];
      putImage(registry, "bad", "1", [good], { manifest: { layers } });
    },
  },
  {
    name: "a config that is larger than the manifest says",
    code: "failed-precondition",
    message: /config of .*bad:1: the registry sends more than 3 bytes/,
    arrange: (registry) => {
      const { config } = putImage(registry, "bad", "1", [good]);
      const change = { config: { mediaType: ociTypes.config, digest: config, size: 3 } };
      putImage(registry, "bad", "1", [good], { manifest: change });
    },
  },
  {
    name: "a layer that never ends",
    code: "failed-precondition",
    message: /layer .*bad:1: the registry sends more than \d+ bytes/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.trick = (request, response) => bigBlob.test(request.url ?? "") && withoutEnd(response);
    },
  },
  {
    name: "a manifest that never ends",
    code: "failed-precondition",
    message: /manifest of .*bad:1: larger than 4194304 bytes/,
    arrange: (registry) => {
      registry.trick = (_request, response) => withoutEnd(response);
    },
  },
  {
    name: "an answer of 401 that never ends",
    code: "unauthenticated",
    message: /answered 401/,
    arrange: (registry) => {
      registry.trick = (_request, response) => {
        response.statusCode = 401;
        return withoutEnd(response);
      };
    },
  },
  {
    name: "a token that never ends",
    code: "failed-precondition",
    message: /token for .*: larger than 65536 bytes/,
    arrange: (registry) => {
      registry.trick = (request, response) => {
        if (request.url?.startsWith("/token") === true) return withoutEnd(response);
        response.writeHead(401, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` }).end();
        return true;
      };
    },
  },
  {
    name: "401 for every token",
    code: "unauthenticated",
    message: /manifest of .*bad:1: 127.0.0.1:\d+ answered 401/,
    arrange: (registry) => {
      registry.trick = (request, response) => {
        if (request.url?.startsWith("/token") === true) response.writeHead(200).end('{"token":"t"}');
        else
          response
            .writeHead(401, { "www-authenticate": `Bearer realm="http://${registry.host}/token"` })
            .end();
        return true;
      };
    },
  },
  {
    name: "500 for ever",
    code: "unavailable",
    message: /^layer sha256:\w+ of .* answered 500/,
    arrange: (registry) => {
      twoLayers(registry);
      registry.trick = answer(bigBlob, 500, { "retry-after": "0" });
    },
  },
  {
    name: "429 for longer than is waited",
    code: "unavailable",
    message: /answered 429 \(too many requests\)/,
    arrange: (registry) => {
      registry.trick = answer(/manifests/, 429, { "retry-after": "86400" });
    },
  },
  {
    name: "a zstd bomb",
    code: "resource-exhausted",
    message: /unpacks to more than 1000000 bytes/,
    arrange: (registry) => {
      const tar = buildTar([{ name: "zeros", data: Buffer.alloc(200_000_000) }]);
      const bomb = { tar, blob: zstdCompressSync(tar), mediaType: ociTypes.zstd };
      assert.ok(bomb.blob.length < 50_000);
      putImage(registry, "bad", "1", [good, bomb]);
    },
  },
  {
    name: "zeros without end in a gzip layer",
    code: "resource-exhausted",
    message: /unpacks to more than 1000000 bytes/,
    arrange: (registry) => {
      const tar = Buffer.concat([buildTar([{ name: "f", data: "f" }]), Buffer.alloc(200_000_000)]);
      putImage(registry, "bad", "1", [{ tar, blob: gzipSync(tar), mediaType: ociTypes.gzip }]);
    },
  },
  {
    name: "an index that claims to be a manifest",
    code: "failed-precondition",
    message: /it is no application\/vnd.oci.image.manifest/,
    arrange: (registry) => {
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [] }));
      registry.putManifest("bad", "1", index, ociTypes.manifest);
    },
  },
  {
    name: "a manifest that says of itself that it is an index",
    code: "failed-precondition",
    message: /it is no application\/vnd.oci.image.index/,
    arrange: (registry) => {
      putImage(registry, "bad", "1", [good], { manifest: { mediaType: ociTypes.index } });
    },
  },
  {
    name: "indexes within indexes",
    code: "failed-precondition",
    message: /indexes nest deeper than 3/,
    arrange: (registry) => {
      const architecture = process.arch === "arm64" ? "arm64" : "amd64";
      let { manifest: digest } = putImage(registry, "bad", "0", [good]);
      for (let depth = 0; depth < 6; depth++) {
        const manifests = [
          { mediaType: ociTypes.index, digest, size: 1, platform: { os: "linux", architecture } },
        ];
        const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
        digest = registry.putManifest("bad", "1", index, ociTypes.index);
      }
    },
  },
  {
    name: "a manifest of another digest than its index says",
    code: "failed-precondition",
    message: /sent sha256:\w+ when asked for sha256:\w+/,
    arrange: (registry) => {
      const architecture = process.arch === "arm64" ? "arm64" : "amd64";
      const { manifest: digest } = putImage(registry, "bad", "0", [good]);
      const manifests = [
        { mediaType: ociTypes.manifest, digest, size: 1, platform: { os: "linux", architecture } },
      ];
      const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: ociTypes.index, manifests }));
      registry.putManifest("bad", "1", index, ociTypes.index);
      registry.trick = answer(new RegExp(`manifests/${digest}`), 200, {}, "{}");
    },
  },
];

for (const { name, code, message, arrange } of cases) {
  test(`hostile registry: ${name}`, async () => {
    await using folder = await temporaryFolder();
    await using registry = await startRegistry();
    await using opened = await openTestImages(folder.path, { stallTimeoutMs: 300, maxLayerBytes: 1_000_000 });
    const before = await listPaths(opened.root);
    arrange(registry);
    const reference = `${registry.host}/bad:1`;
    const auth = { username: "u", password: "p" };
    await assert.rejects(opened.images.pull({ reference, auth, job: testJob(), signal }), { code, message });
    assert.deepEqual(opened.images.list(), []);
    assert.deepEqual(await listPaths(opened.root), before, "nothing is left behind");
  });
}

test("hostile registry: nobody listens", async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  await assert.rejects(opened.images.pull({ reference: "127.0.0.1:1/x", job: testJob(), signal }), {
    code: "unavailable",
    message:
      /^RegistryUnavailable: manifest of 127.0.0.1:1\/x:latest: cannot reach 127.0.0.1:1: .*ECONNREFUSED/,
  });
});

test("pull: goes on by range after broken connections, and after 429", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  putImage(registry, "a", "1", [big]);
  let cuts = 0;
  let busy = 0;
  registry.trick = (request, response) => {
    if ((request.url ?? "").includes("manifests") && busy++ === 0) {
      response.writeHead(429, { "retry-after": "0" }).end();
      return true;
    }
    if (!bigBlob.test(request.url ?? "") || cuts === 3) return false;
    const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
    cuts += 1;
    response.writeHead(from === 0 ? 200 : 206, { "content-length": big.blob.length - from });
    response.write(big.blob.subarray(from, from + 100), () => response.destroy());
    return true;
  };
  const { image } = await opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
  assert.deepEqual((await opened.images.readImageFile(image, "big", 1e6))?.equals(noise), true);
  const ranges = registry.seen.map(({ range }) => range).filter((range) => range !== undefined);
  assert.deepEqual(ranges, ["bytes=100-", "bytes=200-", "bytes=300-"]);
});

test("pull: a connection that is cut at every tenth of a layer is resumed each time", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  putImage(registry, "a", "1", [big]);
  const tenth = Math.ceil(big.blob.length / 10);
  registry.trick = (request, response) => {
    if (!bigBlob.test(request.url ?? "")) return false;
    const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
    const headers = { "content-range": `bytes ${from}-${big.blob.length - 1}/${big.blob.length}` };
    response.writeHead(from === 0 ? 200 : 206, { ...headers, "content-length": big.blob.length - from });
    const part = big.blob.subarray(from, from + tenth);
    if (from + tenth >= big.blob.length) response.end(part);
    else response.write(part, () => response.destroy());
    return true;
  };
  const { image } = await opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
  assert.equal((await opened.images.readImageFile(image, "big", 1e6))?.equals(noise), true);
  assert.equal(registry.seen.filter(({ range }) => range !== undefined).length, 9);
});

test("pull: a server that answers a range with another one is not believed", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  putImage(registry, "a", "1", [big]);
  registry.trick = (request, response) => {
    if (!bigBlob.test(request.url ?? "")) return false;
    if (request.headers.range === undefined) {
      response.writeHead(200, { "content-length": big.blob.length });
      response.write(big.blob.subarray(0, 300), () => response.destroy());
    } else {
      // Rounded down, as some caches do.
      const range = `bytes 200-${big.blob.length - 1}/${big.blob.length}`;
      response.writeHead(206, { "content-range": range }).end(big.blob.subarray(200));
    }
    return true;
  };
  const { image } = await opened.images.pull({ reference: `${registry.host}/a:1`, job: testJob(), signal });
  assert.equal((await opened.images.readImageFile(image, "big", 1e6))?.equals(noise), true);
});

test("pull: ten at once share the download, one leaves, the last to leave stops it", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const before = await listPaths(opened.root);
  putImage(registry, "a", "1", [good, big]);
  let gate = Promise.withResolvers<undefined>();
  const asked = Promise.withResolvers<undefined>();
  let closed = 0;
  registry.trick = (request, response) => {
    if (!bigBlob.test(request.url ?? "")) return false;
    response.on("close", () => (closed += response.writableFinished ? 0 : 1));
    response.writeHead(200);
    response.write(big.blob.subarray(0, 1000));
    asked.resolve(undefined);
    void gate.promise.then(() => response.end(big.blob.subarray(1000)));
    return true;
  };
  const reference = `${registry.host}/a:1`;
  const controllers = Array.from({ length: 10 }, () => new AbortController());
  const pulls = controllers.map((controller) =>
    opened.images.pull({ reference, job: testJob(), signal: controller.signal }).then(
      () => "pulled",
      (error: unknown) => (error as { code: string }).code,
    ),
  );
  await asked.promise;
  while (registry.seen.filter(({ url }) => url.includes("manifests")).length < 10)
    await new Promise(setImmediate);
  controllers[0]?.abort();
  assert.equal(await pulls[0], "aborted");
  assert.equal(closed, 0, "nine others still want it");
  gate.resolve(undefined);
  assert.deepEqual(await Promise.all(pulls.slice(1)), Array<string>(9).fill("pulled"));
  assert.equal(registry.seen.filter(({ url }) => bigBlob.test(url)).length, 1);
  await opened.images.remove(reference);

  gate = Promise.withResolvers();
  const alone = new AbortController();
  const cancelled = opened.images.pull({ reference, job: testJob(), signal: alone.signal });
  setTimeout(() => {
    alone.abort();
  }, 100);
  await assert.rejects(cancelled, { code: "aborted", message: /layer sha256:.* of .*a:1: cancelled/ });
  assert.deepEqual(await listPaths(opened.root), before);
});

test("pull: an image that is here is pulled again only with the right credentials", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  putImage(registry, "a", "1", [good]);
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;
  registry.trick = (request, response) => {
    if (request.headers.authorization === basic("u:right")) return false;
    response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    return true;
  };
  const pull = (auth?: object) =>
    opened.images.pull({ reference: `${registry.host}/a:1`, ...(auth && { auth }), job: testJob(), signal });
  await pull({ username: "u", password: "right", serverAddress: `http://${registry.host}/v2/` });
  const tree = await describeTree(opened.root);
  await pull({ auth: Buffer.from("u:right").toString("base64") });
  for (const auth of [
    undefined,
    { username: "u", password: "wrong" },
    { username: "u", password: "right", serverAddress: "quay.example" },
  ]) {
    await assert.rejects(pull(auth), { code: "unauthenticated" });
  }
  assert.deepEqual(await describeTree(opened.root), tree);
});

test("pull: bearer tokens, and the secrets stay with whom they are for (cve-2020-15157)", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using elsewhere = await startRegistry();
  await using opened = await openTestImages(folder.path);
  putImage(registry, "team/a", "1", [good]);
  elsewhere.putBlob(good.blob);
  registry.trick = (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (url.pathname === "/token") {
      const scope = url.searchParams.get("scope") ?? "";
      const known = request.headers.authorization === `Basic ${Buffer.from("u:p").toString("base64")}`;
      response.writeHead(known ? 200 : 403).end(JSON.stringify({ token: `t-${scope}` }));
      return true;
    }
    if (request.headers.authorization !== "Bearer t-repository:team/a:pull") {
      const challenge = `Bearer realm="http://${registry.host}/token",service="s",scope="repository:team/a:pull"`;
      response.writeHead(401, { "www-authenticate": challenge }).end();
      return true;
    }
    if (!url.pathname.includes(sha256(good.blob))) return false;
    response.writeHead(307, { location: `http://${elsewhere.host}${url.pathname}` }).end();
    return true;
  };
  const reference = `${registry.host}/team/a:1`;
  await opened.images.pull({ reference, auth: { username: "u", password: "p" }, job: testJob(), signal });
  assert.equal(elsewhere.seen.length, 1);
  assert.equal(elsewhere.seen[0]?.authorization, undefined);
  assert.equal(
    registry.seen.filter(({ url }) => url.startsWith("/token")).length,
    1,
    "one token serves the pull",
  );
  await assert.rejects(opened.images.pull({ reference, job: testJob(), signal }), {
    code: "permission-denied",
  });
});

test("pull: at most four layers of a registry are at work at once", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  await using opened = await openTestImages(folder.path);
  const layers = Array.from({ length: 9 }, (_, index) => gzipLayer([{ name: `f${index}`, data: "x" }]));
  putImage(registry, "a", "1", layers.slice(0, 5));
  putImage(registry, "b", "1", layers.slice(5));
  const blobs = new Map(layers.map(({ blob }) => [sha256(blob), blob]));
  const waiting: (() => void)[] = [];
  const letGo = (): void => {
    for (const go of waiting.splice(0)) go();
  };
  let most = 0;
  registry.trick = (request, response) => {
    const blob = blobs.get((request.url ?? "").split("/").at(-1) ?? "");
    if (blob === undefined) return false;
    waiting.push(() => response.writeHead(200).end(blob));
    most = Math.max(most, waiting.length);
    // The first four are let go together: a fifth that is let in would be here by then. The last of nine is alone.
    if (waiting.length === 4 || (most === 4 && waiting.length === 1)) setTimeout(letGo, 200);
    return true;
  };
  const pull = (name: string) =>
    opened.images.pull({ reference: `${registry.host}/${name}:1`, job: testJob(), signal });
  await Promise.all([pull("a"), pull("b")]);
  assert.equal(most, 4);
});
