import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { writeHashed } from "./hashed-file.ts";

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "berth-hashed-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

/** What this process has open below a folder. */
async function openBelow(folder: string): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((path) => path.startsWith(folder));
}

async function* chunks(count: number, failure?: Error): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let index = 0; index < count; index++) yield Buffer.alloc(100_000, index);
  if (failure !== undefined) throw failure;
}

test("hashed file: its size and digest", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "file");
  const hash = createHash("sha256");
  for await (const chunk of chunks(5)) hash.update(chunk);
  const digest = `sha256:${hash.digest("hex")}`;
  assert.deepEqual(await writeHashed(chunks(5), path), { path, size: 500_000, digest });
});

test("hashed file: a stream that fails leaves no descriptor", async () => {
  await using folder = await temporaryFolder();
  for (const count of [0, 5]) {
    const path = join(folder.path, String(count));
    await assert.rejects(writeHashed(chunks(count, new Error("cancelled")), path), /cancelled/);
    assert.deepEqual(await openBelow(folder.path), []);
  }
});

test("hashed file: one that cannot be made, and one that is aborted", async () => {
  await using folder = await temporaryFolder();
  await assert.rejects(writeHashed(chunks(1), join(folder.path, "none", "file")), { code: "ENOENT" });
  await assert.rejects(writeHashed(chunks(1), join(folder.path, "file"), AbortSignal.abort()), {
    name: "AbortError",
  });
  assert.deepEqual(await openBelow(folder.path), []);
});
