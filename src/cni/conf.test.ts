import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { ConfFolder, loadConfFolder } from "./conf-folder.ts";
import { parseConfList, parseSingleConf } from "./conf.ts";

const good = { cniVersion: "1.0.0", name: "pods", plugins: [{ type: "bridge", mtu: 1400 }] };

async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "berth-conf-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function waitUntil(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 500) throw new Error("the condition did not come true");
    await sleep(10);
  }
}

test("conf: a list and a single plugin", () => {
  assert.deepEqual(parseConfList(JSON.stringify(good), "f"), {
    name: "pods",
    cniVersion: "1.0.0",
    disableCheck: false,
    disableGc: false,
    plugins: [{ type: "bridge", mtu: 1400 }],
  });
  const single = { cniVersion: "0.3.1", name: "one", type: "ptp" };
  assert.deepEqual(parseSingleConf(JSON.stringify(single), "f").plugins, [single]);
});

test("conf: the newest version that both sides speak", () => {
  const versions = { ...good, cniVersions: ["0.4.0", "1.1.0", "2.0.0"] };
  assert.equal(parseConfList(JSON.stringify(versions), "f").cniVersion, "1.1.0");
});

test("conf: what is wrong is named with its file", () => {
  for (const [text, expected] of [
    ["{", "not JSON"],
    ["[]", "expected an object"],
    [JSON.stringify({ ...good, name: "../etc" }), "not a network's name"],
    [JSON.stringify({ ...good, name: undefined }), "not a network's name"],
    [JSON.stringify({ ...good, plugins: [] }), "no plugins"],
    [JSON.stringify({ ...good, plugins: {} }), "plugins: expected a list"],
    [JSON.stringify({ ...good, plugins: [{}] }), 'plugins[0]: not a plugin\'s name: ""'],
    [JSON.stringify({ ...good, plugins: [{ type: "../../bin/sh" }] }), "not a plugin's name"],
    [JSON.stringify({ ...good, cniVersion: "9.9.9" }), 'cniVersion "9.9.9" is not among those supported'],
    [JSON.stringify({ ...good, cniVersion: undefined }), "cniVersion none"],
  ] as const) {
    assert.throws(
      () => parseConfList(text, "/net.d/a.conflist"),
      (error) =>
        hasCode(error, "invalid-argument") &&
        error.message.startsWith("/net.d/a.conflist: ") &&
        error.message.includes(expected),
      expected,
    );
  }
});

test("conf: the first good file by name counts, bad ones are remembered with their line", async () => {
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, "05-bad.conflist"), '{\n "name": "x",\n oops\n}');
  await writeFile(join(folder.path, "06-readme.txt"), "not a configuration");
  await writeFile(join(folder.path, "10-pods.conflist"), JSON.stringify(good));
  await writeFile(
    join(folder.path, "20-other.conf"),
    JSON.stringify({ ...good, name: "other", type: "ptp" }),
  );
  const loaded = await loadConfFolder(folder.path);
  assert.deepEqual(
    loaded.networks.map(({ name }) => name),
    ["pods", "other"],
  );
  assert.equal(loaded.file, join(folder.path, "10-pods.conflist"));
  assert.equal(loaded.bad.length, 1);
  assert.match(loaded.bad[0]?.reason ?? "", /05-bad\.conflist: not JSON: .*line 3/);
});

test("conf: a mistake is named with its line, also where the parser does not tell it", () => {
  for (const [text, line] of [
    ["{", 1],
    ['{\n"name": "x",\n', 3],
    ['{\n"name": "x",\n"plugins": [tru]}', 3],
    ['{\n"name": "x",\n"plugins":\n[1,\n]}', 5],
    ['{\n"name":\n}', 3],
    ['{\n"name": "a\nb"}', 2],
    ["", 1],
  ] as const) {
    assert.throws(() => parseConfList(text, "f"), new RegExp(`f: not JSON: .*line ${line}\\b`), text);
  }
});

test("conf: status follows the folder without a restart", async () => {
  await using folder = await temporaryFolder();
  let changes = 0;
  await using conf = await ConfFolder.open(folder.path, () => {
    changes += 1;
  });
  assert.deepEqual(conf.status(), {
    ready: false,
    reason: "NetworkPluginNotReady",
    message: `no CNI configuration in ${folder.path}`,
  });
  assert.throws(
    () => conf.current(),
    (error) => hasCode(error, "failed-precondition") && error.message.includes(folder.path),
  );
  const file = join(folder.path, "10-pods.conflist");
  await writeFile(file, JSON.stringify(good));
  await waitUntil(() => conf.status().ready);
  assert.equal(conf.current().name, "pods");
  await writeFile(join(folder.path, "01-bad.conf"), "{");
  await waitUntil(() => conf.status().message !== "");
  assert.equal(conf.status().ready, true);
  assert.match(conf.status().message, /01-bad\.conf/);
  await rm(file);
  await waitUntil(() => !conf.status().ready);
  assert.match(conf.status().message, /no good CNI configuration: .*01-bad\.conf/);
  assert.equal(changes, 3);
});

test("conf: a folder that comes later is seen", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "net.d");
  await using conf = await ConfFolder.open(path, () => undefined);
  assert.equal(conf.status().ready, false);
  await mkdir(path);
  await writeFile(join(path, "10-pods.conflist"), JSON.stringify(good));
  await conf.reload();
  assert.equal(conf.status().ready, true);
});

test("conf: plugins in the folder that is named as the network come behind the list's own", async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "10-pods.conflist");
  const types = async (): Promise<string[] | undefined> =>
    (await loadConfFolder(folder.path)).networks[0]?.plugins.map(({ type }) => type);
  await writeFile(file, JSON.stringify(good));
  await mkdir(join(folder.path, "pods"));
  await writeFile(join(folder.path, "pods/20-b.conf"), JSON.stringify({ type: "portmap" }));
  await writeFile(join(folder.path, "pods/10-a.conf"), JSON.stringify({ type: "tuning" }));
  await writeFile(join(folder.path, "pods/30-c.txt"), "{");
  assert.deepEqual(await types(), ["bridge", "tuning", "portmap"]);
  for (const [key, value, expected] of [
    ["loadOnlyInlinedPlugins", true, ["bridge"]],
    ["loadOnlyInlinedPlugins", "True", ["bridge"]],
    ["loadOnlyInlinedPlugins", "false", ["bridge", "tuning", "portmap"]],
    ["plugins", [], ["tuning", "portmap"]],
  ] as const) {
    await writeFile(file, JSON.stringify({ ...good, [key]: value }));
    assert.deepEqual(await types(), expected, `${key} ${String(value)}`);
  }
  await writeFile(join(folder.path, "pods/15-bad.conf"), JSON.stringify({ type: "../x" }));
  const { networks, bad } = await loadConfFolder(folder.path);
  assert.deepEqual(networks, []);
  assert.match(bad[0]?.reason ?? "", /pods\/15-bad\.conf: not a plugin's name/);
});

test("conf: true and false as words", () => {
  const read = (disableGC: unknown): boolean =>
    parseConfList(JSON.stringify({ ...good, disableGC }), "f").disableGc;
  assert.deepEqual([read("true"), read("FALSE"), read(true), read(undefined)], [true, false, true, false]);
  assert.throws(() => read("yes"), /disableGC: expected true or false/);
});
