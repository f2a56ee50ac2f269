import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { maxCommandBytes } from "./limits.ts";
import { checkCommand, checkPorts, checkRunning, checkStreams } from "./validate.ts";

const streams = { tty: false, stdin: false, stdout: false, stderr: false };

test("validate: a terminal has no stderr, and there is something to carry", () => {
  checkStreams({ ...streams, stdout: true, stderr: true });
  checkStreams({ ...streams, tty: true, stdin: true });
  for (const wrong of [
    streams,
    { ...streams, tty: true },
    { ...streams, tty: true, stdout: true, stderr: true },
  ]) {
    assert.throws(
      () => {
        checkStreams(wrong);
      },
      (thrown) => hasCode(thrown, "invalid-argument"),
    );
  }
});

test("validate: ports are from 1 to 65535, and not more than fit", () => {
  checkPorts([]);
  checkPorts([1, 65_535]);
  for (const wrong of [[0], [-1], [80, 65_536], new Array<number>(65).fill(80)]) {
    assert.throws(
      () => {
        checkPorts(wrong);
      },
      (thrown) => hasCode(thrown, "invalid-argument"),
    );
  }
});

test("validate: only a running container is joined", () => {
  checkRunning({ id: "c1", state: { state: "running" } });
  for (const state of ["created", "exited"]) {
    assert.throws(
      () => {
        checkRunning({ id: "c1", state: { state } });
      },
      (thrown) => hasCode(thrown, "failed-precondition") && thrown.message.includes("c1"),
    );
  }
});

test("validate: a command is there, and not longer than its limit with all arguments", () => {
  const half = "é".repeat(maxCommandBytes / 4);
  checkCommand([half, half.slice(1)]);
  for (const wrong of [[], [half, half]]) {
    assert.throws(
      () => {
        checkCommand(wrong);
      },
      (thrown) => hasCode(thrown, "invalid-argument") && thrown.message.startsWith("cmd: "),
    );
  }
});
