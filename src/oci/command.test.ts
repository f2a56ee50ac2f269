import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import type { ImageProcess } from "../core/image.ts";
import { commandLine, workingDirectory } from "./command.ts";

function image(part: Partial<ImageProcess>): ImageProcess {
  return { entrypoint: [], cmd: [], env: [], workingDir: "", user: "", volumes: [], stopSignal: "", ...part };
}

test("command: entrypoint and cmd, command and args", () => {
  const [entrypoint, cmd, command, args] = [["/e"], ["c"], ["/command"], ["a"]];
  const table: readonly (readonly [Partial<ImageProcess>, string[], string[], readonly string[]])[] = [
    [{ entrypoint, cmd }, [], [], ["/e", "c"]],
    [{ entrypoint, cmd }, command, [], ["/command"]],
    [{ entrypoint, cmd }, [], args, ["/e", "a"]],
    [{ entrypoint, cmd }, command, args, ["/command", "a"]],
    [{ cmd }, [], [], ["c"]],
    [{ cmd }, [], args, ["a"]],
    [{ entrypoint: [""], cmd }, [], [], ["c"]],
    [{}, command, [], ["/command"]],
  ];
  for (const [part, given, givenArgs, expected] of table) {
    assert.deepEqual(commandLine({ command: given, args: givenArgs, workingDir: "" }, image(part)), expected);
  }
});

test("command: none, an empty one and one with NUL are refused", () => {
  const table: readonly (readonly [string[], RegExp])[] = [
    [[], /no command/],
    [["", "a"], /the command is empty/],
    [["a", "b\0c"], /argument 1 of the command has a NUL/],
  ];
  for (const [command, message] of table) {
    assert.throws(
      () => commandLine({ command, args: [], workingDir: "" }, image({})),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
    );
  }
});

test("command: the working directory", () => {
  const table: readonly (readonly [string, string, string])[] = [
    ["", "", "/"],
    ["", "/app", "/app"],
    ["/w", "/app", "/w"],
    ["w/../x/", "", "/x"],
    ["../..", "", "/"],
  ];
  for (const [given, ofImage, expected] of table) {
    assert.equal(
      workingDirectory({ command: [], args: [], workingDir: given }, image({ workingDir: ofImage })),
      expected,
    );
  }
  assert.throws(() => workingDirectory({ command: [], args: [], workingDir: "/a\0" }, image({})), /NUL/);
});
