import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { PullRequest } from "../../src/images/index.ts";
import { listPaths, openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, putImage, sha256, startRegistry, type TestRegistry } from "./registry.ts";

const { signal } = new AbortController();
const noise = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 7919) % 251));
const small = gzipLayer([{ name: "small", data: "small" }]);
const big = gzipLayer([{ name: "big", data: noise }]);
const bigBlob = new RegExp(sha256(big.blob));
const reference = "reg.example/team/a:1";

/** A mirror and a server that stand for reg.example, and an image store that knows of them. */
async function arrange(hosts: (mirror: TestRegistry, server: TestRegistry) => string) {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const mirror = stack.use(await startRegistry());
  const server = stack.use(await startRegistry());
  const certsDir = join(folder.path, "certs.d");
  const file = join(certsDir, "reg.example/hosts.toml");
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, hosts(mirror, server));
  const opened = stack.use(await openTestImages(folder.path, { certsDir, stallTimeoutMs: 400 }));
  const job = testJob();
  const pull = (change: Partial<PullRequest> = {}) =>
    opened.images.pull({ reference, job, signal, ...change });
  return {
    ...opened,
    certsDir,
    file,
    mirror,
    server,
    job,
    pull,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** The mirror first, then the server. */
const inOrder =
  (settings = "") =>
  (mirror: TestRegistry, server: TestRegistry): string =>
    `server = "http://${server.host}"\n[host."http://${mirror.host}"]\n${settings}\n`;

test("mirrors: the first host that has it sends all, and is told whom it stands for", async () => {
  await using world = await arrange(inOrder('header = { X-Team = ["a", "b"], authorization = "Basic own" }'));
  const { mirror, server, job } = world;
  putImage(mirror, "team/a", "1", [small, big]);
  const { image, reference: pulled } = await world.pull();
  assert.deepEqual(image.tags, [reference]);
  assert.match(pulled, /^reg\.example\/team\/a@sha256:/);
  assert.equal(server.seen.length, 0);
  assert.equal(mirror.seen.length, 4);
  for (const { url, headers } of mirror.seen) {
    assert.match(url, /\?ns=reg\.example$/);
    assert.equal(headers["x-team"], "a, b");
    assert.equal(headers.authorization, "Basic own");
  }
  assert.equal(job.notes.filter((note) => note.includes(`from ${mirror.host} in`)).length, 2);
});

test("mirrors: one that may not resolve tags sends only what has a digest", async () => {
  await using world = await arrange(inOrder('capabilities = ["pull"]'));
  for (const registry of [world.mirror, world.server]) putImage(registry, "team/a", "1", [small]);
  const { reference: byDigest } = await world.pull();
  assert.deepEqual(
    world.server.seen.map(({ url }) => url),
    ["/v2/team/a/manifests/1?ns=reg.example"],
  );
  assert.equal(world.mirror.seen.length, 2, "config and layer");
  await world.pull({ reference: byDigest });
  assert.equal(world.server.seen.length, 1);
});

test("mirrors: where none may resolve tags, the error names the folder", async () => {
  await using world = await arrange(
    (mirror) => `server = "http://${mirror.host}"\ncapabilities = ["pull"]\n`,
  );
  await assert.rejects(world.pull(), {
    code: "failed-precondition",
    message:
      /manifest of reg\.example\/team\/a:1: no host of .*certs\.d\/reg\.example may be asked to resolve/,
  });
});

test("mirrors: override_path and paths", async () => {
  await using world = await arrange(
    (mirror, server) =>
      `server = "http://${server.host}/cache"\n[host."http://${mirror.host}/api/x"]\noverride_path = true\n`,
  );
  await assert.rejects(world.pull(), { code: "not-found" });
  assert.equal(world.mirror.seen[0]?.url, "/api/x/team/a/manifests/1?ns=reg.example");
  assert.equal(world.server.seen[0]?.url, "/cache/v2/team/a/manifests/1?ns=reg.example");
});

/** What a mirror does, and what the job notes of it; the server has everything. */
const fallThrough: readonly (readonly [string, (mirror: TestRegistry) => void, RegExp])[] = [
  ["has nothing", () => undefined, /is passed over: manifest of .* answered 404/],
  [
    "asks for credentials",
    (mirror) => {
      mirror.trick = (_request, response) => {
        response.writeHead(401, { "www-authenticate": 'Basic realm="m"' }).end();
        return true;
      };
    },
    /is not asked any more in this pull: .*401/,
  ],
  [
    "is down",
    (mirror) => {
      mirror.trick = (_request, response) => {
        response.writeHead(503).end();
        return true;
      };
    },
    /is not asked any more in this pull: RegistryUnavailable: .*503/,
  ],
  [
    "hangs up",
    (mirror) => {
      mirror.trick = (_request, response) => {
        response.destroy();
        return true;
      };
    },
    /is not asked any more in this pull: RegistryUnavailable: .*cannot reach/,
  ],
  [
    "says nothing",
    (mirror) => {
      mirror.trick = () => true;
    },
    /cannot reach .*: Headers Timeout/,
  ],
  [
    "answers with a web page",
    (mirror) => {
      mirror.trick = (_request, response) => {
        response.writeHead(200, { "content-type": "text/html" }).end("<html>log in</html>");
        return true;
      };
    },
    /is not asked any more in this pull: .*not JSON/,
  ],
  [
    "lacks a layer",
    (mirror) => {
      putImage(mirror, "team/a", "1", [small, big]);
      mirror.trick = (request, response) => {
        if (!bigBlob.test(request.url ?? "")) return false;
        response.writeHead(404).end();
        return true;
      };
    },
    /is passed over: layer sha256:\w+ of .* answered 404/,
  ],
  [
    "sends a layer of another digest",
    (mirror) => {
      putImage(mirror, "team/a", "1", [small, big]);
      const other = Buffer.from(big.blob);
      other[4] = 9;
      mirror.putBlobAs(sha256(big.blob), other);
    },
    /is not asked any more in this pull: layer .* the content has digest/,
  ],
  [
    "sends a web page as layers and config",
    (mirror) => {
      putImage(mirror, "team/a", "1", [small, big]);
      mirror.trick = (request, response) => {
        if (!(request.url ?? "").includes("/blobs/")) return false;
        response.writeHead(200, { "content-type": "text/html" }).end("x".repeat(100_000));
        return true;
      };
    },
    /is not asked any more in this pull: config of .* sends more than/,
  ],
  [
    "breaks in the midst of a layer",
    (mirror) => {
      putImage(mirror, "team/a", "1", [small, big]);
      mirror.trick = (request, response) => {
        if (!bigBlob.test(request.url ?? "")) return false;
        const from = Number(/\d+/.exec(request.headers.range ?? "0")?.[0]);
        response.writeHead(from === 0 ? 200 : 206, { "content-length": big.blob.length - from });
        response.write(big.blob.subarray(from, from + 10), () => response.destroy());
        return true;
      };
    },
    /is not asked any more in this pull: RegistryUnavailable: layer .* the download broke/,
  ],
];
for (const [name, spoil, note] of fallThrough) {
  test(`mirrors: one that ${name} is passed over for the server`, async () => {
    await using world = await arrange(inOrder());
    putImage(world.server, "team/a", "1", [small, big]);
    spoil(world.mirror);
    const { image } = await world.pull();
    assert.deepEqual((await world.images.readImageFile(image, "big", 1e6))?.equals(noise), true);
    const notes = world.job.notes.filter((line) => line.startsWith(world.mirror.host));
    assert.equal(notes.length, 1, "one note says it");
    assert.match(notes[0] ?? "", note);
  });
}

test("mirrors: a layer that broke on one goes on by range at the next", async () => {
  await using world = await arrange(inOrder());
  for (const registry of [world.mirror, world.server]) putImage(registry, "team/a", "1", [big]);
  world.mirror.trick = (request, response) => {
    if (!bigBlob.test(request.url ?? "")) return false;
    if (request.headers.range !== undefined) response.destroy();
    else response.write(big.blob.subarray(0, 500), () => response.destroy());
    return true;
  };
  await world.pull();
  const layer = world.server.seen.filter(({ url }) => bigBlob.test(url));
  assert.deepEqual(
    layer.map(({ range }) => range),
    ["bytes=500-"],
  );
});

test("mirrors: where all fail the error is the last one's and names the others", async () => {
  await using world = await arrange(inOrder());
  const before = await listPaths(world.root);
  await assert.rejects(world.pull(), (thrown: { code: string; message: string }) => {
    assert.equal(thrown.code, "not-found");
    const [last = "", earlier = ""] = thrown.message.split("; before that, ");
    assert.match(last, new RegExp(`^manifest of ${reference}: ${world.server.host} answered 404`));
    assert.match(earlier, new RegExp(`^${world.mirror.host}: manifest of .* answered 404`));
    return true;
  });
  assert.deepEqual(await listPaths(world.root), before);
});

test("mirrors: a host that stands in the file as mirror and as server is asked once", async () => {
  await using world = await arrange(
    (mirror) => `server = "http://${mirror.host}"\n[host."http://${mirror.host}"]\n`,
  );
  await assert.rejects(world.pull(), { code: "not-found" });
  assert.equal(world.mirror.seen.length, 1);
});

test("mirrors: a file is read anew at every pull, a bad one fails it, a missing one is no mirror", async () => {
  await using world = await arrange(inOrder());
  const { mirror, server, file } = world;
  for (const registry of [mirror, server]) putImage(registry, "team/a", "1", [small]);
  await world.pull();
  assert.equal(server.seen.length, 0);
  await writeFile(file, `server = "http://${server.host}"\nnonsense = 1\n`);
  await world.pull();
  assert.equal(server.seen.length, 1, "the manifest: config and layer are here");
  assert.deepEqual(
    world.job.notes.filter((note) => note.includes("hosts.toml")),
    [`${file}:2: unknown key nonsense; it is ignored`],
  );
  await writeFile(file, `server = "http://${server.host}"\n[host."http://${mirror.host}"\n`);
  await assert.rejects(world.pull(), {
    code: "failed-precondition",
    message: /^.*reg\.example\/hosts\.toml:2:\d+: /,
  });
  await writeFile(file, `server = "http://${server.host}"\nca = "absent.pem"\n`);
  await assert.rejects(world.pull(), {
    code: "failed-precondition",
    message: /cannot read the certificate .*reg\.example\/absent\.pem: ENOENT/,
  });
  await rm(file);
  const asked = [mirror.seen.length, server.seen.length];
  await assert.rejects(world.pull(), {
    code: "unavailable",
    message: /^RegistryUnavailable: .*reg\.example/,
  });
  assert.deepEqual([mirror.seen.length, server.seen.length], asked);
});

test("mirrors: folders by host, host and port in both spellings, and the default", async () => {
  await using world = await arrange(() => "");
  const { certsDir, mirror, server } = world;
  for (const registry of [mirror, server]) putImage(registry, "x", "1", [small]);
  const put = async (folder: string, registry: TestRegistry): Promise<void> => {
    await mkdir(join(certsDir, folder), { recursive: true });
    await writeFile(join(certsDir, folder, "hosts.toml"), `server = "http://${registry.host}"\n`);
  };
  const askedOf = async (image: string): Promise<"mirror" | "server"> => {
    const before = mirror.seen.length;
    await world.pull({ reference: image });
    return mirror.seen.length > before ? "mirror" : "server";
  };
  await put("_default", mirror);
  assert.equal(await askedOf("any.example/x:1"), "mirror");
  assert.equal(await askedOf("any.example:5000/x:1"), "mirror");
  await put("any.example", server);
  assert.equal(await askedOf("any.example/x:1"), "server");
  assert.equal(await askedOf("any.example:5000/x:1"), "mirror", "another port is another registry");
  await put("any.example:5000", server);
  assert.equal(await askedOf("any.example:5000/x:1"), "server");
  await put("any.example_5000_", mirror);
  assert.equal(await askedOf("any.example:5000/x:1"), "mirror");
});

test("mirrors: credentials go to a trusted mirror that asks, never to another, never along a redirect", async () => {
  const basic = `Basic ${Buffer.from("u:p").toString("base64")}`;
  const auth = { username: "u", password: "p" };
  for (const [settings, request, expected] of [
    ["", auth, basic],
    ["", { ...auth, serverAddress: "reg.example" }, undefined],
    ['capabilities = ["pull"]', auth, undefined],
  ] as const) {
    await using world = await arrange(inOrder(settings));
    const { mirror, server } = world;
    for (const registry of [mirror, server]) putImage(registry, "team/a", "1", [small]);
    mirror.trick = (asked, response) => {
      if (asked.headers.authorization === basic) {
        if (!(asked.url ?? "").includes("/blobs/")) return false;
        response.writeHead(307, { location: `http://${server.host}${asked.url ?? ""}` }).end();
      } else {
        response.writeHead(401, { "www-authenticate": 'Basic realm="m"' }).end();
      }
      return true;
    };
    await world.pull({ auth: request });
    assert.equal(mirror.seen.at(-1)?.authorization, expected);
    assert.ok(server.seen.length > 0);
    assert.ok(server.seen.every(({ authorization }) => authorization === undefined));
  }
});

test("mirrors: a token server that the target of a redirect names gets nothing (cve-2020-15157)", async () => {
  await using world = await arrange((mirror) => `server = "http://${mirror.host}"\n`);
  const { mirror, server } = world;
  mirror.trick = (request, response) => {
    response.writeHead(307, { location: `http://${server.host}${request.url ?? ""}` }).end();
    return true;
  };
  server.trick = (_request, response) => {
    response.writeHead(401, { "www-authenticate": `Bearer realm="http://${server.host}/steal"` }).end();
    return true;
  };
  await assert.rejects(world.pull({ auth: { username: "u", password: "p" } }), { code: "unauthenticated" });
  assert.equal(server.seen.length, 1);
  assert.equal(server.seen[0]?.authorization, undefined);
});

test("mirrors: the node's own credentials serve a pull that has none", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const dockerConfig = join(folder.path, "config.json");
  await using opened = await openTestImages(folder.path, { dockerConfig });
  putImage(registry, "a", "1", [small]);
  const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;
  registry.trick = (request, response) => {
    if (request.headers.authorization === basic("node:p")) return false;
    response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    return true;
  };
  const pull = (auth?: object) =>
    opened.images.pull({ reference: `${registry.host}/a:1`, ...(auth && { auth }), job: testJob(), signal });
  await assert.rejects(pull(), { code: "unauthenticated" }, "the file is not there");
  await writeFile(dockerConfig, JSON.stringify({ auths: { [registry.host]: { auth: btoa("node:p") } } }));
  await pull();
  await assert.rejects(
    pull({ username: "u", password: "p" }),
    { code: "unauthenticated" },
    "given ones go first",
  );
});
