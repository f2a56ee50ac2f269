import assert from "node:assert/strict";
import { test } from "node:test";
import type { ExitRecord } from "../../shim/protocol/messages.ts";
import { endOf } from "./end.ts";

const record: ExitRecord = {
  exitCode: 0,
  signal: 0,
  oomKilled: false,
  startedAt: "1700000000000000001",
  finishedAt: "1700000000000000002",
  message: "",
};

for (const [name, change, reason, exitCode] of [
  ["an ordinary end", {}, "Completed", 0],
  ["an exit status", { exitCode: 3 }, "Error", 3],
  ["a signal", { exitCode: 143, signal: 15 }, "Error", 143],
  ["the OOM killer", { exitCode: 137, signal: 9, oomKilled: true }, "OOMKilled", 137],
  [
    "a start that failed",
    { exitCode: 127, startedAt: "0", message: "exec: no such file" },
    "ContainerCannotRun",
    127,
  ],
  ["a mount that failed", { exitCode: 128, startedAt: "0", message: "mount /x" }, "StartError", 128],
  ["a kill before the start", { exitCode: 137, startedAt: "0" }, "Error", 137],
] as const) {
  test(`end: ${name} is ${reason}`, () => {
    const end = endOf({ ...record, ...change });
    assert.equal(end.reason, reason);
    assert.equal(end.exitCode, exitCode);
    assert.equal(end.finishedAt, 1700000000000000002n);
  });
}
