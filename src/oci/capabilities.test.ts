import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import {
  allCapabilities,
  capabilityNames,
  defaultCapabilities,
  resolveCapabilities,
} from "./capabilities.ts";

const none = { add: [], drop: [], addAmbient: [] };
const all: readonly string[] = allCapabilities;

test("capabilities: add, drop and ALL", () => {
  const without = (...names: string[]): readonly string[] => all.filter((name) => !names.includes(name));
  const table: readonly (readonly [Partial<typeof none> | object, readonly string[]])[] = [
    [{}, all.filter((name) => defaultCapabilities.includes(name))],
    [{ drop: ["ALL"] }, []],
    [{ drop: ["all"], add: ["chown"] }, ["CAP_CHOWN"]],
    [{ add: ["ALL"], drop: ["CAP_SYS_ADMIN", "NET_RAW"] }, without("CAP_SYS_ADMIN", "CAP_NET_RAW")],
    [{ add: ["ALL"], drop: ["ALL"] }, []],
    [{ add: ["NET_ADMIN"], drop: ["ALL", "NET_ADMIN"] }, []],
  ];
  for (const [change, expected] of table) {
    const sets = resolveCapabilities({ change: { ...none, ...change }, privileged: false, bounding: all });
    for (const set of ["bounding", "effective", "permitted"] as const) assert.deepEqual(sets[set], expected);
    assert.deepEqual([sets.inheritable, sets.ambient], [[], []], "cve-2022-24769: inheritable is empty");
  }
});

test("capabilities: privileged is all that the host has, whatever is dropped", () => {
  const bounding = all.filter((name) => name !== "CAP_SYS_RESOURCE");
  const change = { ...none, drop: ["ALL"] };
  assert.deepEqual(resolveCapabilities({ change, privileged: true, bounding }).bounding, bounding);
});

test("capabilities: ambient ones are in all five sets", () => {
  const change = { ...none, drop: ["ALL"], addAmbient: ["NET_BIND_SERVICE"] };
  const sets = resolveCapabilities({ change, privileged: false, bounding: all });
  for (const set of Object.values(sets)) assert.deepEqual(set, ["CAP_NET_BIND_SERVICE"]);
});

test("capabilities: an unknown name is refused by name", () => {
  for (const change of [{ add: ["FLY"] }, { drop: ["CAP_FLY"] }, { addAmbient: ["FLY"] }]) {
    assert.throws(
      () => resolveCapabilities({ change: { ...none, ...change }, privileged: false, bounding: all }),
      (error) => hasCode(error, "invalid-argument") && error.message.includes("FLY"),
    );
  }
});

test("capabilities: bits to names", () => {
  assert.deepEqual(capabilityNames(0b1000_0001n | (1n << 40n) | (1n << 63n)), [
    "CAP_CHOWN",
    "CAP_SETUID",
    "CAP_CHECKPOINT_RESTORE",
  ]);
});
