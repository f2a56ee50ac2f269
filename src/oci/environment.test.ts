import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { buildEnvironment, type EnvironmentRequest, withTerminal } from "./environment.ts";

const path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const base: EnvironmentRequest = { image: [], request: [], hostname: "pod", home: "/root", tty: false };

test("environment: later values take the place of earlier ones, in order", () => {
  const table: readonly (readonly [Partial<EnvironmentRequest>, readonly string[]])[] = [
    [{}, [path, "HOSTNAME=pod", "HOME=/root"]],
    [{ tty: true }, [path, "TERM=xterm", "HOSTNAME=pod", "HOME=/root"]],
    [
      { image: ["PATH=/bin", "A=1", "B=2=3", "noise", "=x"] },
      ["PATH=/bin", "HOSTNAME=pod", "A=1", "B=2=3", "HOME=/root"],
    ],
    [
      {
        image: ["A=1", "B=2"],
        request: [
          { key: "C", value: "" },
          { key: "A", value: "9\n9" },
          { key: "HOME", value: "/home/a" },
          { key: "HOSTNAME", value: "other" },
        ],
      },
      [path, "HOSTNAME=other", "A=9\n9", "B=2", "C=", "HOME=/home/a"],
    ],
  ];
  for (const [request, expected] of table)
    assert.deepEqual(buildEnvironment({ ...base, ...request }), expected);
});

test("environment: what execve or a file cannot hold is refused", () => {
  const table: readonly (readonly [string, string, string])[] = [
    ["empty name", "", "x"],
    ["= in a name", "A=B", "x"],
    ["NUL in a name", "A\0", "x"],
    ["NUL in a value", "A", "x\0"],
    ["cve-2022-4318: a line feed in HOME", "HOME", "/root\nevil::0:0::/:/bin/sh"],
  ];
  for (const [name, key, value] of table) {
    assert.throws(
      () => buildEnvironment({ ...base, request: [{ key, value }] }),
      (error) => hasCode(error, "invalid-argument"),
      name,
    );
  }
});

test("environment: TERM is added once", () => {
  assert.deepEqual(withTerminal(["A=1"]), ["A=1", "TERM=xterm"]);
  assert.deepEqual(withTerminal(["TERM=vt100"]), ["TERM=vt100"]);
});
