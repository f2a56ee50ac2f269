import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Pace } from "./pace.ts";
import { maxDepth, measureTree } from "./tree-usage.ts";

const root = mkdtempSync(join(tmpdir(), "berth-tree-"));
after(() => {
  rmSync(root, { recursive: true });
});

const pace = (): Pace => new Pace(0, new AbortController().signal);

/** du(1) counts the same: allocated blocks, each inode once, one file system. */
function du(folder: string): { readonly usedBytes: bigint; readonly inodes: bigint } {
  const count = (...flags: readonly string[]): bigint =>
    BigInt(execFileSync("du", ["-sx", ...flags, folder], { encoding: "utf8" }).split("\t")[0] ?? "");
  return { usedBytes: count("--block-size=1"), inodes: count("--inodes") };
}

test("tree usage: the same as du, with holes, links, odd names and folders", async () => {
  const folder = join(root, "mixed");
  mkdirSync(join(folder, "a/b/c"), { recursive: true });
  writeFileSync(join(folder, "a/big"), Buffer.alloc(3_000_000, 1));
  linkSync(join(folder, "a/big"), join(folder, "a/b/again"));
  writeFileSync(join(folder, "hole"), "");
  truncateSync(join(folder, "hole"), 1_000_000_000);
  symlinkSync("/", join(folder, "a/everything"));
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe, 0x0a])]), "x");
  mkdirSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xe9])]));
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xe9]), Buffer.from("/in")]), "x");
  for (let i = 0; i < 500; i++) writeFileSync(join(folder, "a/b/c", String(i)), "");
  const usage = await measureTree(folder, pace());
  assert.deepEqual(usage, du(folder));
  assert.ok(usage.inodes > 500n && usage.usedBytes < 100_000_000n);
});

test("tree usage: an empty folder is one inode, a missing one an error that names it", async () => {
  const folder = join(root, "empty");
  mkdirSync(folder);
  assert.equal((await measureTree(folder, pace())).inodes, 1n);
  await assert.rejects(measureTree(join(root, "none"), pace()), /ENOENT.*none/);
});

test("tree usage: a root that is a link leads nowhere", async () => {
  const link = join(root, "link");
  symlinkSync("/", link);
  await assert.rejects(measureTree(link, pace()), /ELOOP|ENOTDIR/);
});

test("tree usage: a tree that is too deep is counted as far as it goes", async () => {
  const folder = join(root, "deep");
  mkdirSync(join(folder, ...Array.from({ length: maxDepth + 50 }, () => "d")), { recursive: true });
  assert.equal((await measureTree(folder, pace())).inodes, BigInt(maxDepth + 1));
});

test("tree usage: a walk that is given up ends", async () => {
  const folder = join(root, "long");
  mkdirSync(folder);
  for (let i = 0; i < 1000; i++) writeFileSync(join(folder, String(i)), "");
  const abort = new AbortController();
  const walk = measureTree(folder, new Pace(0, abort.signal));
  abort.abort(new Error("given up"));
  await assert.rejects(walk, /given up/);
});
