import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { newContainerId } from "../../src/core/ids.ts";
import { copyTree, digestTree, packTree, type PackRequest } from "../../src/images/pack.ts";
import { unpackLayer } from "../../src/images/unpack.ts";
import { everything } from "./everything.ts";
import {
  buildUnpacker,
  describeTree,
  listPaths,
  luajit,
  openTestImages,
  temporaryFolder,
  testJob,
  unpacker,
} from "./harness.ts";
import { gzipLayer, putImage, startRegistry } from "./registry.ts";

const run = promisify(execFile);
const { signal } = new AbortController();
const program = { luajit, program: unpacker };

before(buildUnpacker);

const shell = (script: string, cwd: string): Promise<unknown> => run("bash", ["-ec", script], { cwd });

/** Three layers in overlay's form, topmost first, which hide, replace and merge whatever can be. */
async function makeLayers(root: string): Promise<readonly string[]> {
  const [top = "", mid = "", low = ""] = ["top", "mid", "low"].map((name) => join(root, name));
  for (const path of [top, mid, low]) await mkdir(path);
  await shell(everything, low);
  await shell(
    "mkdir -p hidden/x opaque/a replaced twice; echo low | tee hidden/x/f opaque/a/f replaced/f twice/f",
    low,
  );
  await shell(
    "mkdir acl; setfattr -n user.folder -v note acl; echo 1 > acl/f; ln acl/f acl/g; touch -d 2003-01-01 acl",
    low,
  );
  await shell("mknod hidden c 0 0; mkdir opaque twice; setfattr -n trusted.overlay.opaque -v y opaque", mid);
  await shell(
    "echo mid | tee opaque/new twice/g; chmod 700 twice; echo file > replaced; mknod null c 0 0",
    mid,
  );
  await shell(
    "mkdir -p hidden a/b; echo top > hidden/again; chmod 711 a/b; mknod twice c 0 0; rm twice",
    top,
  );
  await shell("echo again > null; chown 5:6 .; chmod 751 .; touch -d 2004-01-01 a/b hidden .", top);
  return [top, mid, low];
}

/** Shows folders as an overlay while `use` runs. */
async function mounted<T>(
  at: string,
  lowers: readonly string[],
  writable: { readonly upper: string; readonly work: string } | undefined,
  use: () => Promise<T>,
): Promise<T> {
  const options = `lowerdir=${lowers.join(":")}${writable ? `,upperdir=${writable.upper},workdir=${writable.work}` : ""}`;
  await mkdir(at, { recursive: true });
  await run("mount", ["-t", "overlay", "-o", options, "overlay", at]);
  try {
    return await use();
  } finally {
    await run("umount", [at]);
  }
}

const contents = (path: string): Promise<string> => digestTree(program, path, "content", "tree", signal);

test("copy: the tree is the one that overlay shows, to the last attribute, hole and link", async () => {
  await using folder = await temporaryFolder();
  const layers = await makeLayers(folder.path);
  const copy = join(folder.path, "copy");
  await mkdir(copy);
  const report = await copyTree(program, copy, layers, "it", signal);
  await mounted(join(folder.path, "merged"), layers, undefined, async () => {
    const merged = join(folder.path, "merged");
    assert.deepEqual(await describeTree(copy), await describeTree(merged));
    assert.equal(await contents(copy), await contents(merged));
  });
  const blocks = async (path: string): Promise<number> => (await stat(join(copy, path))).blocks;
  assert.equal(await blocks("allhole"), 0);
  assert.ok((await blocks("hole")) < 100, "a hole takes no room");
  assert.equal((await stat(join(copy, "a/file"))).ino, (await stat(join(copy, "a/b/hard"))).ino);
  assert.notEqual((await stat(join(copy, "big"))).ino, (await stat(join(layers[2] ?? "", "big"))).ino);
  assert.equal(report.inodes, new Set((await allInodes(copy)).values()).size);
});

async function allInodes(root: string): Promise<number[]> {
  const { stdout } = await run("find", [root, "-printf", "%i\n"]);
  return stdout.trim().split("\n").map(Number);
}

// Nothing is done to a file of several names: overlay splits it when it is written to, a copy does not.
const changes = [
  "echo new > a/added; ln a/added again; echo more >> empty; rm -r acl; mkdir acl; echo 1 > acl/f",
  "mv hidden moved; rm opaque/new; mkdir opaque/deep; echo > opaque/deep/f; chmod 700 sticky; chown 9:9 ümläut",
  "setfattr -n user.note -v other sparse; setfattr -x trusted.own sticky; rm replaced; mkdir replaced; ln -s x replaced/l",
  "rm -r with\\ space; echo file > with\\ space; mknod dev c 1 5; mkfifo pipe; rm old; ln -sf elsewhere dangling",
  // As long, as old, as it was: nothing but its bytes tells.
  "touch -r twice/f stamp; printf LOW\\\\n > twice/f; touch -r stamp twice/f; rm stamp",
  // Moved over another of its size, time, owner and mode.
  "mkdir -p same; touch -r empty same; ln big bigger; truncate -s 3M sparse",
  // Both trees are changed, one after the other: what was made has one time in both.
  "find . -newer ../stamp ! -type d -exec touch -h -d @1300000000 {} +",
].join("\n");

test("copy: what was changed in it is the layer that overlay would have made", async () => {
  await using folder = await temporaryFolder();
  const layers = await makeLayers(folder.path);
  const at = (name: string): string => join(folder.path, name);
  for (const name of ["copy", "upper", "work", "theirs", "ours"]) await mkdir(at(name));
  await copyTree(program, at("copy"), layers, "it", signal);
  assert.deepEqual(
    await unpackDifference(at("unchanged"), [at("copy"), ...layers]),
    [],
    "an unchanged copy is an empty layer",
  );
  // Overlay shows the upper folder as /, so its maker gives it the owner and mode of the root below.
  await shell("chown 5:6 upper; chmod 751 upper", folder.path);
  await writeFile(at("stamp"), "");
  await shell(changes, at("copy"));
  await mounted(at("written"), layers, { upper: at("upper"), work: at("work") }, () =>
    shell(changes, at("written")),
  );

  await unpack(at("theirs"), { form: "layer", folders: [at("upper")] });
  await unpack(at("ours"), { form: "difference", folders: [at("copy"), ...layers] });
  const [theirs, ours] = await Promise.all(
    ["theirs", "ours"].map((name) =>
      mounted(at(`${name}-merged`), [at(name), ...layers], undefined, () => contents(at(`${name}-merged`))),
    ),
  );
  assert.equal(ours, theirs);
  const told = await readdir(at("ours"), { recursive: true });
  for (const path of ["allhole", "disk", "hole", "a/b/c", "longlink"]) assert.ok(!told.includes(path), path);
});

async function unpackDifference(target: string, folders: readonly string[]): Promise<string[]> {
  await mkdir(target);
  await unpack(target, { form: "difference", folders });
  return await readdir(target);
}

async function unpack(target: string, request: Omit<PackRequest, "what">): Promise<void> {
  const tar = `${target}.tar`;
  await writeFile(tar, await buffer(packTree(program, { ...request, what: "it" }, signal)));
  const settings = { ...program, maxLayerBytes: 1e9 };
  await unpackLayer(settings, target, { kind: "file", path: tar }, "it", signal);
}

test("copy: another file system than the layers'", async () => {
  await using folder = await temporaryFolder();
  const layers = await makeLayers(folder.path);
  const target = join(folder.path, "target");
  await mkdir(target);
  await run("mount", ["-t", "tmpfs", "tmpfs", target]);
  try {
    await copyTree(program, target, layers, "it", signal);
    await mounted(join(folder.path, "merged"), layers, undefined, async () => {
      assert.equal(await contents(target), await contents(join(folder.path, "merged")));
    });
  } finally {
    await run("umount", [target]);
  }
});

test("copy: a full disk and a cancelled request leave nothing", async () => {
  await using folder = await temporaryFolder();
  await using registry = await startRegistry();
  const small = join(folder.path, "small");
  await mkdir(small);
  await run("mount", ["-t", "tmpfs", "-o", "size=24m", "small", small]);
  try {
    await using opened = await openTestImages(small, { snapshotter: "copy" });
    const { images, root } = opened;
    putImage(registry, "big", "1", [gzipLayer([{ name: "big", data: Buffer.alloc(10_000_000, 7) }])]);
    const { image } = await images.pull({ reference: `${registry.host}/big:1`, job: testJob(), signal });
    const before = await listPaths(root);
    const one = newContainerId();
    assert.equal((await images.prepare(one, image, signal)).kind, "copy");
    const withOne = await listPaths(root);
    await assert.rejects(images.prepare(newContainerId(), image, signal), {
      code: "resource-exhausted",
      message: /copy of the image for container .*: .*No space left/,
    });
    assert.deepEqual(await listPaths(root), withOne);
    await assert.rejects(images.prepare(newContainerId(), image, AbortSignal.abort(new Error("left"))));
    assert.deepEqual(await listPaths(root), withOne);
    await images.removeSnapshot(one);
    assert.deepEqual(await listPaths(root), before);
  } finally {
    await run("umount", [small]);
  }
});
