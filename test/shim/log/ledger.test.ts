import assert from "node:assert/strict";
import { test } from "node:test";
import { Ledger } from "../../../src/shim/program/log/ledger.ts";
import { reasons } from "../../../src/shim/program/log/message.ts";

const counts = ({ lost, owed, known }: Ledger): readonly number[] => [lost.lines, owed.lines, known.lines];

test("ledger: what is written is nowhere", () => {
  const ledger = new Ledger();
  ledger.sent(3, 300);
  assert.equal(ledger.isSettled, false);
  ledger.answered("lines", 3, 300, reasons.none);
  assert.deepEqual(counts(ledger), [0, 0, 0]);
  assert.equal(ledger.isSettled, true);
});

test("ledger: what the file did not take is known to the writer until it is said", () => {
  const ledger = new Ledger();
  ledger.sent(3, 300);
  ledger.sent(2, 200);
  ledger.answered("lines", 3, 300, reasons.ceiling);
  ledger.answered("lines", 2, 200, reasons.ceiling);
  assert.deepEqual(
    [ledger.lost, ledger.known].map(({ bytes }) => bytes),
    [500, 500],
  );
  assert.equal(ledger.reason, reasons.ceiling);
  ledger.sent(1, 100);
  ledger.answered("lines", 1, 100, reasons.none);
  assert.deepEqual(counts(ledger), [5, 0, 0]);
});

test("ledger: dropped lines are owed until the writer was told, once", () => {
  const ledger = new Ledger();
  ledger.dropped(5, 500);
  assert.equal(ledger.mustTell, true);
  ledger.told();
  assert.equal(ledger.mustTell, false);
  ledger.dropped(1, 100);
  ledger.answered("missing", 5, 500, reasons.none);
  assert.deepEqual(counts(ledger), [6, 1, 0]);
  assert.equal(ledger.mustTell, true);
  assert.equal(ledger.isSettled, false);
});

test("ledger: a writer that dies leaves all that it did not answer", () => {
  const ledger = new Ledger();
  ledger.sent(3, 300);
  ledger.answered("lines", 3, 300, reasons.ceiling);
  ledger.dropped(5, 500);
  ledger.told();
  ledger.sent(2, 200);
  ledger.died();
  assert.deepEqual(counts(ledger), [10, 7, 3]);
  assert.equal(ledger.mustTell, true);
  assert.equal(ledger.hasRoom, true);
});

test("ledger: eight messages are unanswered at most", () => {
  const ledger = new Ledger();
  for (let message = 0; message < 7; message++) ledger.sent(1, 1);
  assert.equal(ledger.hasRoom, true);
  ledger.told();
  assert.equal(ledger.hasRoom, false);
  ledger.answered("lines", 1, 1, reasons.none);
  assert.equal(ledger.hasRoom, true);
});
