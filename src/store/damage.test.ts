import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { jsonCodec, openStore } from "./index.ts";

async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "berth-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const records = 500;

/** A store whose records lie in tables and in the log, closed. */
async function filledStore(folder: string): Promise<void> {
  // Each opening writes the log of the one before into a table.
  for (const round of [0, 1]) {
    const store = await openStore(folder);
    const table = store.table<string>("t", jsonCodec());
    for (let index = 0; index < records; index++)
      await store.write([table.put(`${round}-${index}`, "v".repeat(100))], "memory");
    await store.close();
  }
}

const garbage = Buffer.alloc(5000, 7);

/** Which files lose what they hold; the least number of records that stay. */
const damages: readonly (readonly [string, RegExp, "overwritten" | "removed", number])[] = [
  ["the manifest", /^MANIFEST/, "overwritten", 2 * records],
  ["the manifest", /^MANIFEST/, "removed", 2 * records],
  ["the pointer to the manifest", /^CURRENT$/, "overwritten", 2 * records],
  ["a table", /\.ldb$/, "overwritten", records],
  ["a table", /\.ldb$/, "removed", records],
  ["everything", /^(?!LOCK$)/, "overwritten", 0],
];

for (const [what, files, how, least] of damages) {
  test(`store: opens with what is left when ${what} is ${how}`, async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, "store");
    await filledStore(path);
    for (const name of await readdir(path)) {
      if (!files.test(name)) continue;
      if (how === "removed") await rm(join(path, name));
      else await writeFile(join(path, name), garbage);
    }
    const told: string[] = [];
    const store = await openStore(path, (text) => told.push(text));
    const table = store.table<string>("t", jsonCodec());
    const found = await table.entries(() => assert.fail("no record is damaged by half"));
    assert.ok(found.size >= least, `${found.size} records`);
    assert.match(told.join(), /is damaged and is rebuilt of what can be read/);
    await store.write([table.put("new", "v")], "disk");
    await store.close();
    const again = await openStore(path, (text) => told.push(text));
    assert.equal(await again.table<string>("t", jsonCodec()).get("new"), "v");
    assert.equal(told.length, 1, "the next start finds nothing wrong");
    await again.close();
  });
}

test("store: a flipped byte in a table is found at the start, not by whoever reads there", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "store");
  await filledStore(path);
  const [name = ""] = (await readdir(path)).filter((file) => file.endsWith(".ldb"));
  const bytes = await readFile(join(path, name));
  bytes.fill(7, 100, Math.min(3000, bytes.length - 200));
  await writeFile(join(path, name), bytes);
  const told: string[] = [];
  const store = await openStore(path, (text) => told.push(text));
  assert.equal(told.length, 1);
  await store.table<string>("t", jsonCodec()).entries(() => undefined);
  await store.close();
});
