import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { digestTree, packTree, type PackRequest } from "../../src/images/pack.ts";
import { unpackLayer } from "../../src/images/unpack.ts";
import { everything } from "./everything.ts";
import { buildUnpacker, describeTree, luajit, temporaryFolder, unpacker } from "./harness.ts";

const run = promisify(execFile);
const { signal } = new AbortController();
const program = { luajit, program: unpacker };

before(buildUnpacker);

function pack(request: Omit<PackRequest, "what">): Promise<Buffer> {
  return buffer(packTree(program, { ...request, what: "the tree" }, signal));
}

async function folders<const N extends string>(root: string, ...names: N[]): Promise<Record<N, string>> {
  const made = names.map((name) => [name, join(root, name)] as const);
  for (const [, path] of made) await mkdir(path, { recursive: true });
  return Object.fromEntries(made) as Record<N, string>;
}

const shell = (script: string, cwd: string): Promise<unknown> => run("bash", ["-ec", script], { cwd });

for (const form of ["layer", "merged"] as const) {
  test(`pack: tar and our own unpacker make the same tree of it (${form})`, async () => {
    await using folder = await temporaryFolder();
    const { source, theirs, ours } = await folders(folder.path, "source", "theirs", "ours");
    await shell(everything, source);
    const archive = join(folder.path, "layer.tar");
    await writeFile(archive, await pack({ form, folders: [source] }));
    await run("tar", ["--xattrs", "--xattrs-include=*", "-xpf", archive, "-C", theirs]);
    assert.deepEqual(await describeTree(theirs), await describeTree(source));
    const report = await unpackLayer(
      { ...program, maxLayerBytes: 1e9 },
      ours,
      { kind: "file", path: archive },
      "it",
      signal,
    );
    assert.deepEqual(await describeTree(ours), await describeTree(source));
    const digests = await Promise.all(
      [source, theirs, ours].map((path) => digestTree(program, path, "content", "it", signal)),
    );
    assert.equal(new Set(digests).size, 1, "bytes, attributes and holes are the same everywhere");
    assert.equal(report.treeDigest, await digestTree(program, source, "metadata", "it", signal));
    const again = await pack({ form, folders: [ours] });
    assert.deepEqual(again, await readFile(archive), "the same tree gives the same bytes");
    assert.ok(again.length < 4_000_000, "holes take no room");
  });
}

test("pack: the merged tree is what overlay shows", async () => {
  await using folder = await temporaryFolder();
  const { low, mid, top, merged } = await folders(folder.path, "low", "mid", "top", "merged");
  await shell(
    "mkdir -p keep hidden/x opaque/a replaced; echo low | tee f keep/f hidden/x/f opaque/a/f replaced/f",
    low,
  );
  await shell(
    "mkdir -p keep opaque; mknod hidden c 0 0; setfattr -n trusted.overlay.opaque -v y opaque",
    mid,
  );
  await shell("echo mid | tee f opaque/new; chmod 700 keep; echo file > replaced", mid);
  await shell("mkdir -p hidden; echo top > hidden/again; mknod keep c 0 0; rm keep; mknod f c 0 0", top);
  await run("mount", ["-t", "overlay", "-o", `lowerdir=${top}:${mid}:${low}`, "overlay", merged]);
  const [theirs, ours] = await (async () => {
    await using _mount = {
      [Symbol.asyncDispose]: async () => {
        await run("umount", [merged]);
      },
    };
    return [
      await pack({ form: "merged", folders: [merged] }),
      await pack({ form: "merged", folders: [top, mid, low] }),
    ];
  })();
  const a = await folders(folder.path, "a", "b");
  for (const [bytes, target] of [
    [theirs, a.a],
    [ours, a.b],
  ] as const) {
    await writeFile(join(folder.path, "tar"), bytes);
    await run("tar", ["-xpf", join(folder.path, "tar"), "-C", target]);
  }
  assert.deepEqual(await describeTree(a.b), await describeTree(a.a));
});

test("pack: overlay's marks become whiteouts, which come back as marks", async () => {
  await using folder = await temporaryFolder();
  const { upper, back } = await folders(folder.path, "upper", "back");
  await shell(
    "mkdir -p d/o; mknod d/gone c 0 0; mknod top c 0 0; setfattr -n trusted.overlay.opaque -v y d/o; echo 1 > d/o/f",
    upper,
  );
  await shell(
    "setfattr -n trusted.overlay.origin -v 0x00 d/o/f; setfattr -n trusted.overlay.impure -v y d",
    upper,
  );
  const tar = join(folder.path, "tar");
  await writeFile(tar, await pack({ form: "layer", folders: [upper] }));
  const { stdout } = await run("tar", ["-tf", tar]);
  assert.deepEqual(stdout.trim().split("\n"), [
    "./",
    ".wh.top",
    "d/",
    "d/.wh.gone",
    "d/o/",
    "d/o/.wh..wh..opq",
    "d/o/f",
  ]);
  const report = await unpackLayer(
    { ...program, maxLayerBytes: 1e9 },
    back,
    { kind: "file", path: tar },
    "it",
    signal,
  );
  assert.deepEqual(report.opaque, ["d/o"]);
  assert.equal(
    (await run("stat", ["-c", "%F %t:%T", join(back, "d/gone")])).stdout,
    "character special file 0:0\n",
  );
});

test("pack: owners of a user namespace become those inside it", async () => {
  await using folder = await temporaryFolder();
  const { upper, lower } = await folders(folder.path, "upper", "lower");
  await shell("echo > mine; chown 100000:100000 . ; chown 100033:165535 mine", upper);
  await shell("echo > theirs; chown 33:33 theirs", lower);
  const range = [{ containerId: 0, hostId: 100000, length: 65536 }];
  const list = async (change: Partial<PackRequest>): Promise<string[]> => {
    const tar = await pack({
      form: "merged",
      folders: [upper, lower],
      owners: { uids: range, gids: range },
      ...change,
    });
    await writeFile(join(folder.path, "tar"), tar);
    const { stdout } = await run("tar", ["--numeric-owner", "-tvf", join(folder.path, "tar")]);
    return stdout
      .trim()
      .split("\n")
      .map((line) => line.split(/\s+/)[1] ?? "");
  };
  assert.deepEqual(await list({}), ["0/0", "33/65535", "33/33"]);
  await shell("chown 5 mine", upper);
  await assert.rejects(list({}), {
    code: "failed-precondition",
    message: /the tree: mine: its owner 5 is none of/,
  });
});

test("pack: links lead nowhere, also those that stand in for a folder (CVE-2025-47290's kind)", async () => {
  await using folder = await temporaryFolder();
  const { upper, lower, outside } = await folders(folder.path, "upper", "lower", "outside");
  await writeFile(join(outside, "secret"), "secret");
  await shell("mkdir d e; echo ok > d/f", lower);
  await symlink(outside, join(upper, "d"));
  await symlink("../../outside", join(upper, "e"));
  await symlink(join(outside, "secret"), join(upper, "file"));
  const tar = await pack({ form: "merged", folders: [upper, lower] });
  assert.ok(!tar.includes("secret\n") && tar.includes("file"));
  assert.equal(tar.toString("latin1").match(/secret/g)?.length, 1, "the link's own text alone");
});

test("pack: sockets are left out, a folder that is not there is an error, and so is metacopy", async () => {
  await using folder = await temporaryFolder();
  const { upper } = await folders(folder.path, "upper");
  const server = createServer().listen(join(upper, "socket"));
  await new Promise((resolve) => server.once("listening", resolve));
  const tar = await pack({ form: "layer", folders: [upper] });
  await new Promise((resolve) => server.close(resolve));
  assert.ok(!tar.includes("socket"));
  await assert.rejects(pack({ form: "layer", folders: [join(folder.path, "absent")] }), {
    code: "internal",
    message: /the tree: .*absent: No such file/,
  });
  await shell("echo > f; setfattr -n trusted.overlay.metacopy -v x f", upper);
  await assert.rejects(
    pack({ form: "layer", folders: [upper] }),
    /the tree: f: overlay keeps a part of it elsewhere/,
  );
});

test("pack: a reader that stops ends it, and nothing is left running", async () => {
  await using folder = await temporaryFolder();
  const { upper } = await folders(folder.path, "upper");
  const file = await open(join(upper, "large"), "w");
  await file.truncate(1);
  await file.write(Buffer.alloc(30_000_000, 7), 0, 30_000_000, 0);
  await file.close();
  const request = { form: "layer", folders: [upper], what: "it" } as const;
  for await (const _chunk of packTree(program, request, signal)) break;
  const abort = new AbortController();
  await assert.rejects(async () => {
    for await (const _chunk of packTree(program, request, abort.signal)) abort.abort(new Error("enough"));
  }, /enough/);
  await rm(upper, { recursive: true });
});

test("digest: a change of anything but a folder's time is seen", async () => {
  await using folder = await temporaryFolder();
  const { tree } = await folders(folder.path, "tree");
  await shell("mkdir d; printf 1234 > d/f; ln -s x l; touch -d @1 d/f", tree);
  const digests = async (): Promise<string[]> => [
    await digestTree(program, tree, "metadata", "it", signal),
    await digestTree(program, tree, "content", "it", signal),
  ];
  const [metadata, content] = await digests();
  await shell("touch d", tree);
  assert.deepEqual(await digests(), [metadata, content]);
  await shell("printf 1235 > d/f; touch -d @1 d/f", tree);
  const [sameMetadata, otherContent] = await digests();
  assert.equal(sameMetadata, metadata, "a flipped bit shows in the content alone");
  assert.notEqual(otherContent, content);
  for (const script of [
    "touch -d @2 d/f",
    "chmod 600 d/f",
    "chown 1 d/f",
    "rm l",
    "mkdir d/new",
    "printf 1 >> d/f",
  ]) {
    const before = await digests();
    await shell(script, tree);
    const after = await digests();
    assert.ok(before[0] !== after[0] && before[1] !== after[1], script);
  }
});
