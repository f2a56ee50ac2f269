import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pushImage, startDockerRegistry, withoutDockerRegistry } from "../harness/docker-registry.ts";
import { openTestImages, temporaryFolder } from "./harness.ts";
import { gzipLayer, startRegistry, type TestRegistry } from "./registry.ts";

const { signal } = new AbortController();
const names = ["app", "base/alpine", "base/debian", "base/ubuntu", "zoo"];

/** Answers a list, two names a page. */
function listing(registry: TestRegistry, path: string, key: string, all: readonly string[]): void {
  registry.trick = (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (url.pathname !== path) return false;
    const from = all.indexOf(url.searchParams.get("last") ?? "") + 1;
    const page = all.slice(from, from + 2);
    const next = `<${path}?last=${encodeURIComponent(page.at(-1) ?? "")}&n=2>; rel="next"`;
    response.writeHead(200, from + 2 < all.length ? { link: next } : {});
    response.end(JSON.stringify({ name: "x", [key]: page }));
    return true;
  };
}

async function arrange() {
  const stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const registry = stack.use(await startRegistry());
  const certsDir = join(folder.path, "certs.d");
  const opened = stack.use(await openTestImages(folder.path, { certsDir }));
  const ask = (query: string, change: object = {}) =>
    opened.images.search({ query, wanted: "repositories", limit: 100, signal, ...change });
  const found = async (query: string, change: object = {}) =>
    (await ask(query, change)).entries.map(({ name }) => name.replace(`${registry.host}/`, ""));
  return { registry, certsDir, ask, found, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test("search: a catalog is read to its end, by prefix, up to the limit", async () => {
  await using world = await arrange();
  const { registry, ask, found } = world;
  listing(registry, "/v2/_catalog", "repositories", names);
  assert.deepEqual(await found(registry.host), names);
  assert.equal(registry.seen.length, 3);
  assert.deepEqual(await found(`${registry.host}/base/`), names.slice(1, 4));
  assert.deepEqual(await found(`${registry.host}/none`), []);
  registry.seen.length = 0;
  const limited = await ask(registry.host, { limit: 1 });
  assert.deepEqual([limited.entries.length, limited.more, registry.seen.length], [1, true, 1]);
  assert.equal((await ask(registry.host, { limit: 5 })).more, false);
});

test("search: the tags of a repository, with credentials where it asks for them", async () => {
  await using world = await arrange();
  const { registry, found } = world;
  listing(registry, "/v2/team/app/tags/list", "tags", ["1", "2", "3"]);
  const list = registry.trick;
  const basic = `Basic ${Buffer.from("u:p").toString("base64")}`;
  registry.trick = (request, response) => {
    if (request.headers.authorization === basic) return list(request, response);
    response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    return true;
  };
  const query = `${registry.host}/team/app`;
  assert.deepEqual(await found(query, { wanted: "tags", auth: { username: "u", password: "p" } }), [
    "1",
    "2",
    "3",
  ]);
  await assert.rejects(found(query, { wanted: "tags" }), {
    code: "unauthenticated",
    message: /tags of .*app/,
  });
  registry.trick = (_request, response) => {
    response.writeHead(200).end('{"name":"team/app","tags":null}');
    return true;
  };
  assert.deepEqual(await found(query, { wanted: "tags" }), []);
  for (const named of [`${query}:1`, `${query}:latest`, `${query}@sha256:${"a".repeat(64)}`]) {
    await assert.rejects(found(named, { wanted: "tags" }), {
      code: "invalid-argument",
      message: /repository alone/,
    });
  }
});

test("search: where there is no catalog Docker's search is asked", async () => {
  await using world = await arrange();
  const { registry, ask } = world;
  const results = [
    { name: "library/busybox", description: "small", star_count: 5, is_official: true, is_automated: false },
    { name: "me/busybox", description: null, star_count: "many", is_official: false },
    { name: "you/busybox" },
  ];
  registry.trick = (request, response) => {
    const url = new URL(request.url ?? "", "http://x");
    if (url.pathname !== "/v1/search" || url.searchParams.get("q") !== "busybox") return false;
    const page = Number(url.searchParams.get("page"));
    const part = results.slice((page - 1) * 2, page * 2);
    response.writeHead(200).end(JSON.stringify({ num_pages: 2, num_results: 3, page, results: part }));
    return true;
  };
  const { entries, more } = await ask(`${registry.host}/busybox`);
  const nothing = { description: "", stars: 0, official: false };
  assert.deepEqual(entries, [
    { name: `${registry.host}/library/busybox`, description: "small", stars: 5, official: true },
    { name: `${registry.host}/me/busybox`, ...nothing },
    { name: `${registry.host}/you/busybox`, ...nothing },
  ]);
  assert.equal(more, false);
  assert.equal((await ask(`${registry.host}/busybox`, { limit: 2 })).more, true);
  await assert.rejects(ask(`${registry.host}/nothing`), {
    code: "not-found",
    message: /repositories of .* answered 404 .*; nor has it Docker's search: .* answered 404/,
  });
});

test("search: a hosts file decides who is asked, and only the server is", async () => {
  await using world = await arrange();
  await using mirror = await startRegistry();
  const folder = join(world.certsDir, "docker.io");
  await mkdir(folder, { recursive: true });
  const { host } = world.registry;
  await writeFile(join(folder, "hosts.toml"), `server = "http://${host}"\n[host."http://${mirror.host}"]\n`);
  listing(world.registry, "/v2/_catalog", "repositories", names);
  assert.deepEqual(await world.found("docker.io/z"), ["docker.io/zoo"]);
  assert.deepEqual(await world.found("z"), ["docker.io/zoo"]);
  assert.equal(mirror.seen.length, 0);
});

const hostile: readonly (readonly [string, TestRegistry["trick"], RegExp])[] = [
  [
    "a page that leads to itself",
    (_request, response) => {
      response.writeHead(200, { link: '</v2/_catalog?n=1000>; rel="next"' }).end('{"repositories":["a"]}');
      return true;
    },
    /has no end of pages \(1 were read\)/,
  ],
  [
    "pages without end",
    (request, response) => {
      const next = Number(new URL(request.url ?? "", "http://x").searchParams.get("last") ?? 0) + 1;
      response.writeHead(200, { link: `</v2/_catalog?last=${next}>; rel="next"` }).end('{"repositories":[]}');
      return true;
    },
    /has no end of pages \(1000 were read\)/,
  ],
  [
    "a next page at another host",
    (_request, response) => {
      response
        .writeHead(200, { link: '<http://127.0.0.1:1/v2/_catalog>; rel="next"' })
        .end('{"repositories":[]}');
      return true;
    },
    /its next page is at another host, 127\.0\.0\.1:1/,
  ],
  [
    "a page larger than its limit",
    (_request, response) => {
      response.writeHead(200).end(" ".repeat(4 * 1024 * 1024 + 1));
      return true;
    },
    /larger than 4194304 bytes/,
  ],
  [
    "names that are none",
    (_request, response) => {
      response.writeHead(200).end('{"repositories":[1]}');
      return true;
    },
    /a name is no text/,
  ],
  [
    "something else than a list",
    (_request, response) => {
      response.writeHead(200).end('{"repositories":"a"}');
      return true;
    },
    /repositories is no list/,
  ],
];

for (const [name, trick, message] of hostile) {
  test(`search: ${name} is refused`, async () => {
    await using world = await arrange();
    world.registry.trick = (request, response) =>
      request.url?.startsWith("/v2/_catalog") === true ? trick(request, response) : false;
    await assert.rejects(world.ask(world.registry.host), { code: "failed-precondition", message });
  });
}

test("search: bad queries are named", async () => {
  await using world = await arrange();
  await assert.rejects(world.ask("registry.example/UPPER"), { code: "invalid-argument", message: /UPPER/ });
  await assert.rejects(world.ask("two words"), { code: "invalid-argument", message: /two words/ });
});

test("search: Debian's registry", { skip: withoutDockerRegistry }, async () => {
  await using folder = await temporaryFolder();
  await using registry = await startDockerRegistry(folder.path);
  await using world = await arrange();
  const layers = [gzipLayer([{ name: "f", data: "f" }])];
  for (const repository of names) {
    for (const tag of ["1", "2"]) await pushImage(registry.host, { repository, tag }, "oci", layers);
  }
  const found = await world.found(registry.host);
  assert.deepEqual(
    found,
    names.map((name) => `${registry.host}/${name}`),
  );
  const tags = await world.found(`${registry.host}/base/debian`, { wanted: "tags" });
  assert.deepEqual(tags.sort(), ["1", "2"]);
});
