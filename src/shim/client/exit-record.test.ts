import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { readExitRecord } from "./exit-record.ts";

const record = {
  exitCode: 137,
  signal: 9,
  oomKilled: true,
  startedAt: "1763730000000000001",
  finishedAt: "1763730000000000002",
  message: "",
};

await suite("exit record", () => {
  const folder = mkdtempSync(join(tmpdir(), "berth-exit-"));
  const path = join(folder, "exit.json");
  after(() => {
    rmSync(folder, { recursive: true });
  });

  const contents: readonly (readonly [name: string, text: string, found: object | undefined])[] = [
    ["empty", "", undefined],
    ["preallocated", "\0".repeat(4096), undefined],
    ["written", JSON.stringify(record), record],
    ["written into preallocated space", `${JSON.stringify(record)}\n${"\0".repeat(100)}`, record],
  ];
  for (const [name, text, found] of contents) {
    test(`exit record: ${name}`, async () => {
      writeFileSync(path, text);
      assert.deepEqual(await readExitRecord(path), found);
    });
  }

  test("exit record: none", async () => {
    assert.equal(await readExitRecord(join(folder, "absent")), undefined);
  });

  for (const text of ['{"exitCode":1', "[]", "{}", "x"]) {
    test(`exit record: ${text} is damaged`, async () => {
      writeFileSync(path, text);
      await assert.rejects(readExitRecord(path), {
        code: "internal",
        message: `exit record ${path} is damaged`,
      });
    });
  }
});
