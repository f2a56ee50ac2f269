import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { parseArguments, type OptionSpecs } from "./arguments.ts";

const specs = {
  all: { kind: "flag", short: "a", doc: "" },
  interactive: { kind: "flag", short: "i", doc: "" },
  name: { kind: "text", short: "n", placeholder: "NAME", doc: "" },
  tail: { kind: "whole", short: "t", placeholder: "N", least: 1, doc: "" },
  label: { kind: "list", short: "l", placeholder: "K=V", doc: "" },
} as const satisfies OptionSpecs;

const nothing = { all: false, interactive: false, name: undefined, tail: undefined, label: [] };

for (const [line, options, words] of [
  ["", {}, []],
  ["x y", {}, ["x", "y"]],
  ["x --all y", { all: true }, ["x", "y"]],
  ["-ai x", { all: true, interactive: true }, ["x"]],
  ["--name a=b x", { name: "a=b" }, ["x"]],
  ["--name=a=b", { name: "a=b" }, []],
  ["--name=", { name: "" }, []],
  ["-n a -t5 -at 7", { name: "a", tail: 7, all: true }, []],
  ["-l a=1 --label b=2", { label: ["a=1", "b=2"] }, []],
  ["-- --all -x", {}, ["--all", "-x"]],
  ["- x", {}, ["-", "x"]],
] as const) {
  test(`arguments: ${JSON.stringify(line)}`, () => {
    const parsed = parseArguments(specs, line === "" ? [] : line.split(" "));
    assert.deepEqual({ ...parsed.options }, { ...nothing, ...options });
    assert.deepEqual(parsed.words, words);
  });
}

for (const [line, expected] of [
  ["--alll", /^unknown option --alll; did you mean --all\?$/],
  ["--zzzzzz", /^unknown option --zzzzzz$/],
  ["-z", /^unknown option -z$/],
  ["--all=yes", /^--all takes no value$/],
  ["--name", /^--name wants NAME$/],
  ["-at", /^-t wants N$/],
  ["--tail 0", /^--tail: expected a whole number of at least 1, not "0"$/],
  ["--tail 1e3", /^--tail: .* not "1e3"$/],
  ["--tail -5", /^--tail: .* not "-5"$/],
] as const) {
  test(`arguments: ${line} is refused by name`, () => {
    assert.throws(
      () => parseArguments(specs, line.split(" ")),
      (error) => hasCode(error, "invalid-argument") && expected.test(error.message),
    );
  });
}

for (const [line, words] of [
  ["-a web ls -l --all", ["web", "ls", "-l", "--all"]],
  ["web -- ls --all", ["web", "ls", "--all"]],
  ["web ls -- x", ["web", "ls", "--", "x"]],
  ["web", ["web"]],
] as const) {
  test(`arguments: of ${line}, what follows the first word belongs to a command`, () => {
    assert.deepEqual(parseArguments(specs, line.split(" "), 1).words, words);
  });
}
