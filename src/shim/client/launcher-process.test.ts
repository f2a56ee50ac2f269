import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startLauncherProcess } from "./launcher-process.ts";

for (const [what, script, message] of [
  ["its last words", "echo words; exit 3", "launcher ended with 3: words"],
  [
    "no last words where its log is gone",
    'rm "$2/launcher.log"; exit 3',
    "launcher ended with 3: its log cannot be read",
  ],
] as const) {
  test(`launcher process: its end is told, with ${what}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "berth-launcher-"));
    try {
      const bundle = join(folder, "script");
      writeFileSync(bundle, script);
      const started = await startLauncherProcess({ luajit: "/bin/sh", bundle }, folder, "build");
      await assert.rejects(started.failed, { code: "unavailable", message });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
