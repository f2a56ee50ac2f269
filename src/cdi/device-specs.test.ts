import assert from "node:assert/strict";
import { chmod, mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { DeviceSpecs } from "./device-specs.ts";
import { parseDeviceName } from "./names.ts";

let root: string;
let folders: readonly string[];
let specs: DeviceSpecs;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "berth-cdi-"));
  folders = [join(root, "etc"), join(root, "run"), join(root, "absent")];
  for (const folder of folders.slice(0, 2)) await mkdir(folder);
  specs = new DeviceSpecs(folders);
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, kind: string, devices: readonly string[], value = path): Promise<void> {
  const text = JSON.stringify({
    cdiVersion: "0.5.0",
    kind,
    containerEdits: { env: [`FILE=${value}`] },
    devices: devices.map((name) => ({ name, containerEdits: { env: [`DEVICE=${name} of ${value}`] } })),
  });
  await writeFile(join(root, path), text);
}

async function envOf(...names: readonly string[]): Promise<readonly string[]> {
  const parsed = names.map((name) => parseDeviceName("f", name));
  return (await specs.resolve(parsed)).edits.env;
}

test("device specs: a file's edits once, before those of its devices", async () => {
  await put("etc/a.json", "v/a", ["1", "2"]);
  await put("etc/b.yaml", "v/b", ["1"]);
  assert.deepEqual(await envOf("v/a=2", "v/b=1", "v/a=1"), [
    "FILE=etc/a.json",
    "DEVICE=2 of etc/a.json",
    "FILE=etc/b.yaml",
    "DEVICE=1 of etc/b.yaml",
    "DEVICE=1 of etc/a.json",
  ]);
});

test("device specs: files are read when they come, change and go", async () => {
  await assert.rejects(envOf("v/a=1"), {
    message: /^CDI device v\/a=1: not in .*\/etc, .*\/run, .*\/absent$/,
  });
  await put("run/a.json", "v/a", ["1"], "first");
  assert.equal((await envOf("v/a=1"))[0], "FILE=first");
  await put("run/a.json", "v/a", ["1"], "second");
  assert.equal((await envOf("v/a=1"))[0], "FILE=second");
  await rm(join(root, "run/a.json"));
  await assert.rejects(envOf("v/a=1"), (error) => hasCode(error, "invalid-argument"));
});

test("device specs: a later folder wins; two files of one folder make a device unusable, and it alone", async () => {
  await put("etc/a.json", "v/a", ["1"]);
  await put("run/b.json", "v/a", ["1"]);
  assert.equal((await envOf("v/a=1"))[0], "FILE=run/b.json");
  await put("run/c.json", "v/a", ["1", "2"]);
  await assert.rejects(envOf("v/a=1"), {
    message: /^CDI device v\/a=1: both .*b\.json and .*c\.json describe it/,
  });
  assert.equal((await envOf("v/a=2"))[0], "FILE=run/c.json");
});

test("device specs: a file that cannot be used is told, to whoever looks for what it may have", async () => {
  await put("etc/good.json", "v/a", ["1"]);
  await writeFile(join(root, "etc/bad.json"), "{");
  await writeFile(join(root, "etc/ignored.txt"), "{");
  await put("etc/open.json", "v/b", ["1"]);
  await chmod(join(root, "etc/open.json"), 0o666);
  await writeFile(join(root, "etc/huge.yaml"), Buffer.alloc(4 * 1024 * 1024 + 1, "#"));
  await mkdir(join(root, "etc/folder.json"));
  const { warnings } = await specs.resolve([parseDeviceName("f", "v/a=1")]);
  const expected = [
    /bad\.json: the spec: not JSON/,
    /folder\.json: not a file/,
    /huge\.yaml: larger/,
    /open\.json: others/,
  ];
  assert.equal(warnings.length, expected.length);
  for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? "", pattern);
  await assert.rejects(envOf("v/b=1"), {
    message: /^CDI device v\/b=1: not in .*bad\.json: .*open\.json: others/,
  });
});

test("device specs: without folders there are no devices", async () => {
  specs = new DeviceSpecs([]);
  await assert.rejects(envOf("v/a=1"), { message: "CDI device v/a=1: no folder of specs is configured" });
});
