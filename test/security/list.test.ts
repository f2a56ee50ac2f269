import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { weaknesses } from "./list.ts";

const project = join(import.meta.dirname, "../..");

test("list: every weakness has a test that exists, or the reason why there is none", (context) => {
  for (const { ids, what, tests, note } of weaknesses) {
    assert.ok(tests.length > 0 || note !== undefined, `${ids.join()}: neither a test nor a reason`);
    for (const [file, title] of tests) {
      assert.ok(
        readFileSync(join(project, file), "utf8").includes(title),
        `${ids.join()}: no "${title}" in ${file}`,
      );
    }
    const files = tests.map(([file, title]) => `${file}: ${title}`);
    context.diagnostic(
      `${ids.join(", ")} (${what}): ${[...files, ...(note === undefined ? [] : [note])].join("; ")}`,
    );
  }
});

test("list: no id is there twice", () => {
  const ids = weaknesses.flatMap((weakness) => weakness.ids);
  assert.equal(new Set(ids).size, ids.length);
});
