import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { SpecDeviceRule } from "../../../src/core/oci-runtime-spec.ts";
import {
  type Instruction,
  deviceProgram,
  encodeProgram,
  instructionBytes,
} from "../../../src/shim/program/cgroup/device-program.ts";
import { devicePolicy } from "../../../src/shim/program/cgroup/devices.ts";
import { devicesV1 } from "../../../src/shim/program/cgroup/v1/devices.ts";

const denyAll: SpecDeviceRule = { allow: false, access: "rwm" };
const mknodAny: readonly SpecDeviceRule[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
];
const nullDevice: SpecDeviceRule = { allow: true, type: "c", major: 1, minor: 3, access: "rwm" };
const anyPts: SpecDeviceRule = { allow: true, type: "c", major: 136, access: "rw" };

const rulesToFiles: readonly (readonly [name: string, readonly SpecDeviceRule[], readonly string[]])[] = [
  ["no rules", [], []],
  ["deny all", [denyAll], ["devices.deny=a"]],
  ["allow all (privileged)", [{ allow: true, access: "rwm" }], ["devices.allow=a"]],
  [
    "the usual list",
    [denyAll, ...mknodAny, nullDevice, anyPts],
    [
      "devices.deny=a",
      "devices.allow=c *:* m",
      "devices.allow=b *:* m",
      "devices.allow=c 1:3 rwm",
      "devices.allow=c 136:* rw",
    ],
  ],
  [
    "access is gathered and taken back",
    [
      denyAll,
      { ...nullDevice, access: "r" },
      { ...nullDevice, access: "w" },
      { ...nullDevice, allow: false, access: "r" },
    ],
    ["devices.deny=a", "devices.allow=c 1:3 w"],
  ],
  [
    "exceptions from allow",
    [
      { allow: true, access: "rwm" },
      { allow: false, type: "b", major: 8, access: "w" },
    ],
    ["devices.allow=a", "devices.deny=b 8:* w"],
  ],
  ["a later rule for everything forgets all", [denyAll, nullDevice, denyAll], ["devices.deny=a"]],
  [
    "-1 is any",
    [denyAll, { allow: true, type: "c", major: 5, minor: -1, access: "r" }],
    ["devices.deny=a", "devices.allow=c 5:* r"],
  ],
  [
    "type a with a number is both types",
    [denyAll, { allow: true, type: "a", major: 7, access: "rw" }],
    ["devices.deny=a", "devices.allow=b 7:* rw", "devices.allow=c 7:* rw"],
  ],
];

interface Question {
  readonly type: "b" | "c";
  readonly major: number;
  readonly minor: number;
  readonly access: string;
}

/** Runs a program as the kernel would: the few instructions that the generator uses. */
function run(program: readonly Instruction[], question: Question): number {
  const bits = { m: 1, r: 2, w: 4 } as const;
  const access = Array.from(question.access).reduce(
    (sum, letter) => sum + bits[letter as keyof typeof bits],
    0,
  );
  const context = [(access << 16) | (question.type === "b" ? 1 : 2), question.major, question.minor];
  const registers = [0, 0, 0, 0, 0, 0];
  for (let at = 0; at < program.length; at++) {
    const step = program[at];
    assert.ok(step !== undefined);
    const { code, target, source, offset, immediate } = step;
    const left = registers[target] ?? 0;
    const operations: Readonly<Record<number, () => number>> = {
      0x61: () => context[offset / 4] ?? 0,
      0xbc: () => registers[source] ?? 0,
      0xb7: () => immediate,
      0x54: () => left & immediate,
      0x74: () => left >>> immediate,
    };
    if (code === 0x95) return registers[0] ?? 0;
    if (code === 0x15 || code === 0x55) {
      if ((left === immediate) === (code === 0x15)) at += offset;
      continue;
    }
    const operation = operations[code];
    assert.ok(operation !== undefined, `unknown instruction ${code}`);
    registers[target] = operation();
  }
  throw new Error("ran off the end of the program");
}

/** The verdict of the v1 controller's rules, worked out from the files' texts. */
function v1Allows(files: readonly string[], { type, major, minor, access }: Question): boolean {
  const [general, ...exceptions] = files;
  const byDefault = general !== "devices.deny=a";
  for (const text of exceptions) {
    const [, kind, majorText, minorText, letters] = /=(.) (.+):(.+) (.+)$/.exec(text) ?? [];
    const matches =
      kind === type &&
      (majorText === "*" || majorText === String(major)) &&
      (minorText === "*" || minorText === String(minor));
    if (!matches || letters === undefined) continue;
    if (byDefault && Array.from(access).some((letter) => letters.includes(letter))) return false;
    if (!byDefault && Array.from(access).every((letter) => letters.includes(letter))) return true;
  }
  return byDefault;
}

const questions: readonly Question[] = (["b", "c"] as const).flatMap((type) =>
  [1, 5, 7, 8, 136].flatMap((major) =>
    [0, 3].flatMap((minor) => ["r", "w", "m", "rw", "rwm"].map((access) => ({ type, major, minor, access }))),
  ),
);

await suite("cgroup devices", () => {
  for (const [name, rules, files] of rulesToFiles) {
    test(`devices on v1: ${name}`, () => {
      const settings = devicesV1({ devices: rules }).map(({ file, value }) => `${file}=${value}`);
      assert.deepEqual(settings, files);
    });

    test(`devices on v2: ${name}, the program decides as v1 does`, () => {
      const program = deviceProgram(devicePolicy(rules));
      for (const question of questions) {
        assert.equal(run(program, question) === 1, v1Allows(files, question), JSON.stringify(question));
      }
    });
  }

  test("devices: an instruction is eight little-endian bytes", () => {
    const code = encodeProgram([{ code: 0x55, target: 2, source: 1, offset: 4, immediate: 0x01020304 }]);
    assert.equal(code.length, instructionBytes);
    assert.deepEqual(code, [0x55, 0x12, 4, 0, 4, 3, 2, 1]);
  });
});
