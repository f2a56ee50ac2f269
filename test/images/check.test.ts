import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { newContainerId } from "../../src/core/ids.ts";
import type { Image } from "../../src/core/image.ts";
import {
  type TestStore,
  describeTree,
  listPaths,
  openTestImages,
  prepareOverlay,
  temporaryFolder,
  testJob,
} from "./harness.ts";
import { gzipLayer, putImage, sha256, startRegistry, type TestRegistry } from "./registry.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

type Report = Awaited<ReturnType<TestStore["images"]["check"]>>;

function check(
  { images }: TestStore,
  mode: "report" | "repair",
  depth: "metadata" | "content" = "metadata",
): Promise<Report> {
  return images.check({ mode, depth, job: testJob(), signal });
}

const brief = ({ findings }: Report): unknown[] => findings.map(({ kind, repair }) => [kind, repair.result]);

interface Fixture extends AsyncDisposable {
  readonly opened: TestStore;
  readonly registry: TestRegistry;
  readonly image: Image;
  readonly reference: string;
  readonly layerBlob: string;
  readonly layerFolder: string;
  readonly folder: string;
}

async function fixture(keepBlobs: "local" | "all" = "all"): Promise<Fixture> {
  const undo = new AsyncDisposableStack();
  const folder = undo.use(await temporaryFolder());
  const registry = undo.use(await startRegistry());
  const opened = undo.use(await openTestImages(folder.path, { keepBlobs }));
  const layer = gzipLayer([
    { name: "d/", type: "5", mode: 0o755 },
    { name: "d/f", data: "good", mtime: 5 },
    // Made at the moment of unpacking: a second unpacking gives it another time.
    { name: "d/.wh.gone" },
  ]);
  putImage(registry, "checked", "1", [layer]);
  const reference = `${registry.host}/checked:1`;
  const { image } = await opened.images.pull({ reference, job: testJob(), signal });
  const [name = ""] = await readdir(join(opened.root, "layers"));
  const layerFolder = join(opened.root, "layers", name);
  const layerBlob = sha256(layer.blob);
  return Object.assign(
    { opened, registry, image, reference, layerBlob, layerFolder, folder: folder.path },
    { [Symbol.asyncDispose]: () => undo.disposeAsync() },
  );
}

const blob = ({ opened }: Fixture, digest: string): string =>
  join(opened.root, "blobs/sha256", digest.slice(7));

test("fsck: a good store has nothing to tell, at either depth, and is left as it is", async () => {
  await using all = await fixture();
  const before = await describeTree(all.opened.root);
  for (const depth of ["metadata", "content"] as const) {
    const report = await check(all.opened, "repair", depth);
    assert.deepEqual(report, { images: 1, layers: 1, blobs: 1, findings: [] });
  }
  const now = await describeTree(all.opened.root);
  const withoutTmp = (lines: string[]): string[] => lines.filter((line) => !line.startsWith("tmp"));
  assert.deepEqual(withoutTmp(now), withoutTmp(before));
});

const damages: readonly {
  readonly name: string;
  readonly kind: string;
  readonly problem: RegExp;
  readonly depth?: "content";
  readonly damage: (all: Fixture) => Promise<unknown>;
}[] = [
  {
    name: "a manifest with other bytes",
    kind: "manifest",
    problem: /content has digest sha256/,
    damage: (all) => writeFile(blob(all, all.image.manifest), "{}"),
  },
  {
    name: "a manifest that is gone",
    kind: "manifest",
    problem: /ENOENT/,
    damage: (all) => rm(blob(all, all.image.manifest)),
  },
  {
    name: "a config cut short",
    kind: "config",
    problem: /content has digest/,
    damage: (all) => truncate(blob(all, all.image.id), 10),
  },
  {
    name: "a kept blob with a flipped byte",
    kind: "blob",
    problem: /content has digest/,
    damage: (all) => writeFile(blob(all, all.layerBlob), "x", { flag: "r+" }),
  },
  {
    name: "a kept blob that is gone",
    kind: "blob",
    problem: /ENOENT/,
    damage: (all) => rm(blob(all, all.layerBlob)),
  },
  {
    name: "a sidecar of an image that is gone",
    kind: "record",
    problem: /cannot be read/,
    damage: (all) => rm(join(all.opened.root, "images", `${all.image.id.slice(7)}.json`)),
  },
  {
    name: "a layer that lost a file",
    kind: "layer",
    problem: /names, owners, modes/,
    damage: (all) => rm(join(all.layerFolder, "fs/d/f")),
  },
  {
    name: "a layer with another owner",
    kind: "layer",
    problem: /names, owners, modes/,
    damage: (all) => run("chown", ["7", join(all.layerFolder, "fs/d")]),
  },
  {
    name: "a layer whose folder is gone",
    kind: "layer",
    problem: /ENOENT/,
    damage: (all) => rm(all.layerFolder, { recursive: true }),
  },
  {
    name: "a layer without its sidecar",
    kind: "layer",
    problem: /sidecar cannot be read/,
    damage: (all) => rm(join(all.layerFolder, "layer.json")),
  },
  {
    name: "a file whose bits have flipped",
    kind: "layer",
    problem: /hold something else/,
    depth: "content",
    damage: (all) =>
      run("sh", ["-c", `printf evil > d/f; touch -d @5 d/f`], { cwd: join(all.layerFolder, "fs") }),
  },
];

for (const { name, kind, problem, depth, damage } of damages) {
  test(`fsck: ${name} is found, named, and fetched again`, async () => {
    await using all = await fixture();
    const { opened, image, reference } = all;
    await damage(all);
    const [finding, ...more] = (await check(opened, "report", depth)).findings;
    assert.ok(finding !== undefined && more.length === 0);
    assert.equal(finding.kind, kind);
    assert.match(finding.problem, problem);
    assert.deepEqual(finding.images, [reference]);
    assert.equal(finding.repair.result, "not-tried");
    assert.deepEqual(brief(await check(opened, "repair", depth)), [[kind, "repaired"]]);
    assert.deepEqual((await check(opened, "report", "content")).findings, []);
    assert.equal((await opened.images.readImageFile(image, "/d/f", 10))?.toString(), "good");
    assert.deepEqual(opened.images.list(), [image], "nothing was wiped");
  });
}

test("fsck: without a registry the damage stays, with the reason, and so does all else", async () => {
  await using all = await fixture("local");
  all.registry.trick = (_request, response) => {
    response.writeHead(404).end();
    return true;
  };
  await rm(join(all.layerFolder, "fs/d/f"));
  await rm(blob(all, all.image.id));
  const { findings } = await check(all.opened, "repair");
  assert.deepEqual(
    findings.map(({ kind, repair }) => [kind, repair.result]),
    [
      ["config", "failed"],
      ["layer", "failed"],
    ],
  );
  for (const { repair } of findings)
    assert.match(repair.result === "failed" ? repair.reason : "", /404|not found|manifest says/i);
  assert.equal(all.opened.images.list().length, 1);
  assert.deepEqual(await readdir(join(all.layerFolder, "fs")), ["d"]);
});

test("fsck: a container keeps the damaged layer it was made of, new ones get the good one, over restarts", async () => {
  await using all = await fixture();
  const { opened, image, folder } = all;
  const container = newContainerId();
  const { lowers } = await prepareOverlay(opened.images, container, image);
  await rm(join(all.layerFolder, "fs/d/f"));
  assert.deepEqual(brief(await check(opened, "repair")), [["layer", "repaired"]]);
  assert.equal((await readdir(join(opened.root, "layers"))).length, 2);
  const second = newContainerId();
  const fresh = await prepareOverlay(opened.images, second, image);
  assert.notDeepEqual(fresh.lowers, lowers);
  await opened[Symbol.asyncDispose]();
  {
    await using again = await openTestImages(folder);
    assert.equal((await readdir(join(again.root, "layers"))).length, 2, "still there after a restart");
    assert.deepEqual((await check(again, "report")).findings, []);
    await again.images.removeSnapshot(second);
    assert.equal((await readdir(join(again.root, "layers"))).length, 2);
    await again.images.removeSnapshot(container);
    assert.deepEqual(await readdir(join(again.root, "layers")), [fresh.lowers[0]?.split("/")[0]]);
    assert.equal((await again.images.readImageFile(image, "/d/f", 10))?.toString(), "good");
    await again.images.remove(image.id);
    assert.deepEqual(await readdir(join(again.root, "layers")), []);
  }
});

test("fsck: what belongs to nothing is named, and left for the next start", async () => {
  await using all = await fixture();
  const { root } = all.opened;
  await writeFile(join(root, "blobs/sha256/stray"), "");
  await writeFile(join(root, "images/stray.json"), "");
  await rename(all.layerFolder, join(root, "layers/stray"));
  const { findings } = await check(all.opened, "repair");
  assert.deepEqual(
    findings.filter(({ kind }) => kind === "leftover").map(({ subject }) => subject),
    ["layers/stray", "blobs/sha256/stray", "images/stray.json"].map((path) => join(root, path)),
  );
});

test("fsck: a check that is cancelled ends", async () => {
  await using all = await fixture();
  const aborted = AbortSignal.abort(new Error("enough"));
  await assert.rejects(
    all.opened.images.check({ mode: "report", depth: "content", job: testJob(), signal: aborted }),
    /enough/,
  );
  assert.deepEqual(await readdir(join(all.opened.root, "tmp")), []);
});

test("start: a store whose files hold garbage is rebuilt from the sidecars", async () => {
  await using all = await fixture();
  const { opened, image, folder } = all;
  const before = await listPaths(opened.root);
  await opened[Symbol.asyncDispose]();
  const store = join(folder, "store");
  for (const name of await readdir(store)) {
    if (name !== "LOCK") await writeFile(join(store, name), Buffer.alloc(5000, 7));
  }
  await using again = await openTestImages(folder);
  assert.deepEqual(again.images.list(), [image]);
  assert.deepEqual(await listPaths(again.root), before);
  assert.deepEqual((await check(again, "report", "content")).findings, []);
});

test("start: sidecars give back images and layers when the records are gone", async () => {
  await using all = await fixture();
  const { opened, image, folder } = all;
  const before = await listPaths(opened.root);
  await opened[Symbol.asyncDispose]();
  await rm(join(folder, "store"), { recursive: true });
  await using again = await openTestImages(folder);
  assert.deepEqual(again.images.list(), [image]);
  assert.deepEqual(await listPaths(again.root), before);
  assert.deepEqual((await check(again, "report", "content")).findings, []);
});
