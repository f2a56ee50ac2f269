import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { buildUnpacker, listPaths, openTestImages, temporaryFolder, testJob } from "./harness.ts";
import { gzipLayer, putImage, startRegistry } from "./registry.ts";

const { signal } = new AbortController();
const program = join(import.meta.dirname, "pull-once.ts");

/** Crashes that are looked at side by side: each is mostly the start of a process. */
const atOnce = 4;

/** How a process ended that pulls and is killed before one of its calls, and what calls it made. */
interface Crash {
  readonly ended: number | NodeJS.Signals;
  readonly calls: readonly string[];
}

async function pullAndDie(folder: string, cache: string, reference: string, dieAt: number): Promise<Crash> {
  const file = join(folder, "calls");
  await writeFile(file, "");
  const child = spawn(process.execPath, [program, folder, reference], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      ...process.env,
      BERTH_TEST_CALLS: file,
      BERTH_TEST_DIE_AT: String(dieAt),
      // Most of the time that it takes is the reading of sources.
      NODE_COMPILE_CACHE: cache,
    },
  });
  const [code, killed] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
  const calls = (await readFile(file, "utf8")).trim().split("\n");
  return { ended: killed ?? code ?? -1, calls };
}

test("commit: a daemon killed before any call that writes leaves a layer committed or invisible", async () => {
  await buildUnpacker();
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const shared = gzipLayer([
    { name: "d/", type: "5" },
    { name: "d/shared", data: "s".repeat(50_000) },
  ]);
  const own = gzipLayer([{ name: "d/own", data: "o".repeat(100_000) }, { name: "d/.wh.shared" }]);
  putImage(registry, "first", "1", [shared]);
  putImage(registry, "second", "1", [shared, own]);
  const [first, second] = ["first", "second"].map((name) => `${registry.host}/${name}:1`) as [string, string];
  const [base, cache] = ["base", "cache"].map((name) => join(folder.path, name)) as [string, string];
  {
    await using opened = await openTestImages(base, { keepBlobs: "all" });
    await opened.images.pull({ reference: first, job: testJob(), signal });
  }
  const before = await listPaths(join(base, "root"));

  const states = { invisible: 0, committed: 0 };
  const crash = async (dieAt: number): Promise<string> => {
    const place = join(folder.path, `crash-${dieAt}`);
    await cp(base, place, { recursive: true, preserveTimestamps: true });
    const { ended, calls } = await pullAndDie(place, cache, second, dieAt);
    const where = `killed before call ${dieAt}, ${calls.at(-1) ?? "none"}`;
    assert.equal(ended, "SIGKILL", where);
    await using opened = await openTestImages(place, { keepBlobs: "all" });
    const { images, root, damaged } = opened;
    assert.deepEqual(damaged, [], where);
    assert.deepEqual(await readdir(join(root, "tmp")), [], where);
    const tags = images.list().flatMap((image) => image.tags);
    if (tags.length === 1) {
      states.invisible += 1;
      assert.deepEqual(tags, [first], where);
      assert.deepEqual(await listPaths(root), before, where);
    } else {
      states.committed += 1;
      assert.deepEqual(tags.toSorted(), [first, second], where);
    }
    // What is here already is not fetched again: this looks at what the crash left.
    const { image } = await images.pull({ reference: second, job: testJob(), signal });
    const report = await images.check({ mode: "report", depth: "content", job: testJob(), signal });
    assert.deepEqual(report.findings, [], where);
    assert.equal((await images.readImageFile(image, "/d/own", 1e6))?.length, 100_000, where);
    assert.equal(await images.readImageFile(image, "/d/shared", 1e6), undefined, where);
    return calls.at(-1)?.split(" ")[0] ?? "";
  };
  await cp(base, join(folder.path, "whole"), { recursive: true });
  const { ended, calls } = await pullAndDie(join(folder.path, "whole"), cache, second, 0);
  assert.equal(ended, 0);
  const seen = new Set<string>();
  const left = calls.map((_call, index) => index + 1);
  const worker = async (): Promise<void> => {
    for (let dieAt = left.shift(); dieAt !== undefined; dieAt = left.shift()) seen.add(await crash(dieAt));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  // The steps of a commit, each of which was died before.
  for (const step of ["mkdir", "sync", "rename", "record", "answer"]) assert.ok(seen.has(step), step);
  assert.ok(states.invisible > 5 && states.committed > 0, JSON.stringify(states));
});
