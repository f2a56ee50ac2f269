import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CgroupFiles } from "./cgroup-files.ts";
import { HandleBudget } from "./handle-budget.ts";

function openHandles(): number {
  return readdirSync("/proc/self/fd").length;
}

function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "berth-cgroup-"));
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true });
    },
  };
}

test("cgroup files: each read gives what the file says then, through one handle", () => {
  using root = folder();
  mkdirSync(join(root.path, "c"));
  const file = join(root.path, "c/memory.usage_in_bytes");
  writeFileSync(file, "1\n");
  const before = openHandles();
  const files = new CgroupFiles({ v1: new Map([["memory", root.path]]) }, "/c", new HandleBudget(10));
  assert.equal(files.read("memory", "memory.usage_in_bytes"), "1\n");
  writeFileSync(file, "23\n");
  assert.equal(files.read("memory", "memory.usage_in_bytes"), "23\n");
  assert.equal(openHandles(), before + 1);
  files[Symbol.dispose]();
  assert.equal(openHandles(), before);
});

test("cgroup files: beyond the budget nothing stays open, and what is closed makes room", () => {
  using root = folder();
  mkdirSync(join(root.path, "c"));
  for (const name of ["a", "b"]) writeFileSync(join(root.path, "c", name), name);
  const budget = new HandleBudget(1);
  const hierarchies = { v1: new Map<string, string>(), unified: root.path };
  const before = openHandles();
  const files = new CgroupFiles(hierarchies, "/c", budget);
  assert.equal(files.read("unified", "a"), "a");
  assert.equal(files.read("unified", "b"), "b");
  assert.equal(files.read("unified", "b"), "b");
  assert.equal(openHandles(), before + 1);
  files[Symbol.dispose]();
  assert.equal(budget.take(), true);
  assert.equal(budget.take(), false);
});

test("cgroup files: a cgroup that comes later is found; a file that its kernel lacks is not asked for again", () => {
  using root = folder();
  using files = new CgroupFiles({ v1: new Map(), unified: root.path }, "/late", new HandleBudget(10));
  assert.equal(files.read("unified", "cpu.stat"), undefined);
  mkdirSync(join(root.path, "late"));
  writeFileSync(join(root.path, "late/cpu.stat"), "usage_usec 1\n");
  assert.equal(files.read("unified", "cpu.stat"), "usage_usec 1\n");
  assert.equal(files.read("unified", "memory.peak"), undefined);
  writeFileSync(join(root.path, "late/memory.peak"), "1\n");
  assert.equal(files.read("unified", "memory.peak"), undefined);
  assert.equal(files.read("memory", "memory.stat"), undefined);
});
