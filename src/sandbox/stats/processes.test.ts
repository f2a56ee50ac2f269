import assert from "node:assert/strict";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { countProcesses, LookBudget, maxOpenFiles, processesBelow } from "./processes.ts";

const root = mkdtempSync(join(tmpdir(), "berth-procs-"));
after(() => {
  rmSync(root, { recursive: true });
});

test("processes: those of the cgroups below are found, unseen ones are not counted", () => {
  const folder = join(root, "a");
  mkdirSync(join(folder, "x0/deeper"), { recursive: true });
  writeFileSync(join(folder, "cgroup.procs"), "10\n0\n11\n");
  writeFileSync(join(folder, "x0/cgroup.procs"), "12\n");
  writeFileSync(join(folder, "x0/deeper/cgroup.procs"), "13\n");
  assert.deepEqual(processesBelow(folder), ["10", "11", "12", "13"]);
  assert.deepEqual(processesBelow(join(root, "none")), []);
});

test("processes: what this one holds open is counted, a socket more makes one more", async () => {
  const folder = join(root, "b");
  mkdirSync(folder);
  writeFileSync(join(folder, "cgroup.procs"), `${process.pid}\n`);
  const before = countProcesses(folder, new LookBudget());
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const during = countProcesses(folder, new LookBudget());
  server.close();
  assert.equal(during.processes, 1n);
  assert.ok(before.fileDescriptors !== undefined && before.sockets !== undefined);
  assert.equal(during.sockets, before.sockets + 1n);
  assert.ok((during.fileDescriptors ?? 0n) > before.fileDescriptors);
});

test("processes: beyond the budget nothing is said instead of something wrong", () => {
  const folder = join(root, "c");
  mkdirSync(folder);
  writeFileSync(join(folder, "cgroup.procs"), `${process.pid}\n`);
  const budget = new LookBudget();
  budget.descriptors = 1;
  assert.ok(countProcesses(folder, budget).sockets !== undefined);
  assert.deepEqual(countProcesses(folder, budget), {
    processes: 1n,
    fileDescriptors: undefined,
    sockets: undefined,
  });
});

test("processes: the limit on open files", () => {
  assert.ok((maxOpenFiles(process.pid) ?? 0n) > 0n);
  assert.equal(maxOpenFiles(2 ** 31 - 1), undefined);
});
