import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { effectiveStopSignal, signalNumber } from "./signals.ts";

test("signals: every name of this machine's libc has its number", () => {
  for (const [name, number] of Object.entries(constants.signals))
    assert.equal(signalNumber(name), number, name);
});

test("signals: other ways to write them", () => {
  const table: Readonly<Record<string, number>> = {
    TERM: 15,
    sigterm: 15,
    "9": 9,
    "64": 64,
    SIGRTMIN: 34,
    "SIGRTMIN+3": 37,
    "RTMAX-1": 63,
    SIGRTMAX: 64,
    SIGRTMINPLUS15: 49,
    SIGRTMAXMINUS14: 50,
  };
  for (const [name, number] of Object.entries(table)) assert.equal(signalNumber(name), number, name);
});

test("signals: what is none is refused", () => {
  for (const name of [
    "",
    "SIG",
    "SIGFOO",
    "0",
    "65",
    "-1",
    "SIGRTMIN-1",
    "SIGRTMAX+1",
    "SIGRTMIN+31",
    "constructor",
  ]) {
    assert.throws(
      () => signalNumber(name),
      (error) => hasCode(error, "invalid-argument"),
      name,
    );
  }
});

test("signals: the request's stop signal, else the image's, else SIGTERM", () => {
  assert.equal(effectiveStopSignal({ stopSignal: "SIGINT" }, { stopSignal: "SIGQUIT" }), "SIGINT");
  assert.equal(effectiveStopSignal({}, { stopSignal: "SIGQUIT" }), "SIGQUIT");
  assert.equal(effectiveStopSignal({ stopSignal: "" }, { stopSignal: "" }), "SIGTERM");
  assert.throws(
    () => effectiveStopSignal({}, { stopSignal: "SIGFOO" }),
    /image's stop signal: unknown signal "SIGFOO"/,
  );
});
