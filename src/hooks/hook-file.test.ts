import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { matches, parseHookFile, type HookSubject } from "./hook-file.ts";

const good = {
  version: "1.0.0",
  hook: { path: "/bin/x", args: ["x", "y"], env: ["A=b"], timeout: 3 },
  when: { always: true },
  stages: ["prestart", "poststop", "prestart"],
};

test("hooks: a file gives its hook and stages", () => {
  const file = parseHookFile(JSON.stringify(good));
  assert.deepEqual(file.hook, good.hook);
  assert.deepEqual(file.stages, ["prestart", "poststop"]);
});

const subject: HookSubject = {
  command: "/usr/bin/app",
  annotations: { "vendor/use": "yes", other: "1" },
  hasBindMounts: true,
};

for (const [when, expected] of [
  [{ always: true }, true],
  [{ always: false }, false],
  [{ hasBindMounts: true }, true],
  [{ hasBindMounts: false }, false],
  [{ commands: ["^/bin/", "/app$"] }, true],
  [{ commands: ["^/bin/"] }, false],
  [{ annotations: { "^vendor/use$": "^yes$" } }, true],
  [{ annotations: { "^vendor/use$": "^yes$", absent: ".*" } }, false],
  [{ always: true, commands: ["^/bin/"] }, false],
  [{ hasBindMounts: true, annotations: { other: "1" } }, true],
] as const) {
  test(`hooks: ${JSON.stringify(when)} is ${expected ? "met" : "not met"}`, () => {
    assert.equal(matches(parseHookFile(JSON.stringify({ ...good, when })).when, subject), expected);
  });
}

for (const [what, change, message] of [
  ["another version", { version: "2.0.0" }, /^version: "2.0.0" is not 1.0.0/],
  ["no program", { hook: {} }, /^hook\.path: missing/],
  ["a relative program", { hook: { path: "x" } }, /^hook\.path: .*not an absolute path/],
  ["a variable without a name", { hook: { path: "/x", env: ["=b"] } }, /^hook\.env\[0\]/],
  ["a negative timeout", { hook: { path: "/x", timeout: -1 } }, /^hook\.timeout/],
  ["no condition", { when: {} }, /^when: says nothing/],
  ["an unknown condition", { when: { sometimes: true } }, /^when: unknown field "sometimes"/],
  ["a pattern that is none", { when: { commands: ["("] } }, /^when\.commands\[0\]: "\(" is no regular/],
  ["a flag that is none", { when: { always: "yes" } }, /^when\.always/],
  ["no stage", { stages: [] }, /^stages: empty/],
  ["an unknown stage", { stages: ["later"] }, /^stages\[0\]: "later" is none of/],
  ["an unknown field", { colour: 1 }, /^file: unknown field "colour"/],
] as const) {
  test(`hooks: a file with ${what} is refused`, () => {
    assert.throws(
      () => parseHookFile(JSON.stringify({ ...good, ...change })),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
    );
  });
}

test("hooks: what is no JSON is refused", () => {
  assert.throws(() => parseHookFile("{"), /^RuntimeError: file: no JSON/);
});
