import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { lstat, mkdir, open, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { before, test } from "node:test";
import { promisify } from "node:util";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { buildUnpacker, describeTree, luajit, temporaryFolder, unpacker } from "./harness.ts";
import { sha256 } from "./registry.ts";
import { buildTar, encodeHeader, padded, type RawEntry } from "./tar-builder.ts";

const run = promisify(execFile);
const lots = ["100000000000", "100000"];

before(buildUnpacker);

interface Report {
  readonly ok: boolean;
  readonly diffId: string;
  readonly kind: string;
  readonly message: string;
  readonly inodes: number;
  readonly skippedAttributes: number;
  readonly opaque: readonly string[];
}

/** Runs the unpacker as the daemon does, on bytes or on an open file. */
async function unpack(folder: string, input: Uint8Array, limits = lots): Promise<Report> {
  await mkdir(folder, { recursive: true });
  const child = spawn(luajit, [unpacker, "unpack", folder, ...limits], {
    env: {},
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const [text] = await Promise.all([buffer(child.stdout), once(child, "close")]);
  return JSON.parse(text.toString()) as Report;
}

/** The attribute's value in hex, by `getfattr` of the package attr. */
async function xattr(path: string, name: string): Promise<string> {
  const { stdout } = await run("getfattr", ["-h", "--absolute-names", "-e", "hex", "-n", name, path]);
  return /=0x([0-9a-f]*)/.exec(stdout)?.[1] ?? "";
}

/** A tree with everything that tar can hold. */
const makeTree = `
set -e; umask 022; cd "$1"
mkdir -p a/b/c "with space" sticky; chmod 1777 sticky; chmod 0555 a/b
echo data > a/file; chmod 4755 a/file; ln a/file a/b/hard; ln -s ../file a/b/soft; ln -s /etc/abs dangling
mkfifo fifo; mknod null c 1 3; mknod disk b 259 70000; chmod 640 null
head -c 3000000 /dev/urandom > big; truncate -s 10M hole; echo end >> hole
truncate -s 1M sparse; printf x | dd of=sparse bs=1 seek=70000 conv=notrunc 2>/dev/null
chown 1234:70000 big; chown -h 12:34 dangling; : > empty
long=$(printf 'n%.0s' $(seq 200)); mkdir $long; echo 1 > $long/$long; ln -s $long/$long longlink
touch -d '1969-12-31 23:00:00.25 UTC' old; touch -d '2100-01-02 03:04:05.123456789 UTC' new
touch -d '2001-01-01 UTC' a/b a sticky .
`;

for (const [name, options] of [
  ["gnu", ["--format=gnu", "--sparse"]],
  ["pax, sparse 1.0", ["--format=posix", "--sparse", "--sparse-version=1.0"]],
  ["pax, sparse 0.1", ["--format=posix", "--sparse", "--sparse-version=0.1"]],
  ["pax, sparse 0.0", ["--format=posix", "--sparse", "--sparse-version=0.0"]],
] as const) {
  test(`unpacker: the tree of a ${name} tar equals tar's, file by file`, async () => {
    await using folder = await temporaryFolder();
    const [source, ours, theirs] = ["source", "ours", "theirs"].map((part) => join(folder.path, part));
    for (const path of [source, ours, theirs]) await mkdir(path ?? "");
    await run("bash", ["-c", makeTree, "bash", source ?? ""]);
    const archive = join(folder.path, "layer.tar");
    await run("tar", [...options, "--xattrs", "-cf", archive, "-C", source ?? "", "."]);
    await run("tar", ["--xattrs", "-xpf", archive, "-C", theirs ?? ""]);
    const tar = await readFile(archive);
    for (const [packed, bytes] of [
      ["plain", tar],
      ["gzip", gzipSync(tar)],
      ["zstd", zstdCompressSync(tar)],
    ] as const) {
      const target = join(ours ?? "", packed);
      const report = await unpack(target, bytes);
      assert.deepEqual([report.ok, report.message], [true, undefined]);
      assert.equal(report.diffId, sha256(tar));
      assert.deepEqual(await describeTree(target), await describeTree(theirs ?? ""));
      await run("diff", [
        "-r",
        "--no-dereference",
        "--exclude=fifo",
        "--exclude=null",
        "--exclude=disk",
        target,
        theirs ?? "",
      ]);
      assert.ok((await lstat(join(target, "hole"))).blocks < 1000, "holes stay holes");
      const times = (
        await run("stat", ["-c", "%y", join(target, "new"), join(theirs ?? "", "new")])
      ).stdout.split("\n");
      assert.equal(times[0], times[1]);
    }
  });
}

test("unpacker: several gzip members and zstd frames are one stream", async () => {
  await using folder = await temporaryFolder();
  const tar = buildTar([{ name: "f", data: "x".repeat(700_000) }]);
  const [head, tail] = [tar.subarray(0, 300_001), tar.subarray(300_001)];
  for (const [name, pack] of [
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ] as const) {
    const report = await unpack(join(folder.path, name), Buffer.concat([pack(head), pack(tail)]));
    assert.equal(report.diffId, sha256(tar));
    assert.equal((await readFile(join(folder.path, name, "f"))).length, 700_000);
    const cut = await unpack(join(folder.path, `${name}-cut`), pack(tar).subarray(0, -5));
    assert.match(cut.message, /truncated/);
    const garbage = await unpack(
      join(folder.path, `${name}-garbage`),
      Buffer.concat([pack(tar), Buffer.from("garbage")]),
    );
    // ISA-L would have a header's ten bytes before it looks at them.
    assert.match(garbage.message, /damaged|truncated/);
  }
});

test("unpacker: whiteouts and opaque folders take overlay's form", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "root");
  const report = await unpack(
    root,
    buildTar([
      { name: "etc/.wh.passwd" },
      { name: "var/cache/.wh..wh..opq" },
      { name: "var/cache/new", data: "new" },
      { name: ".wh..wh.plnk", type: "5" },
      { name: "both/", type: "5" },
      { name: "both/kept", data: "kept" },
      { name: ".wh.both" },
      { name: ".wh.again" },
      { name: "again/f", data: "f" },
      { name: ".wh.file" },
      { name: "file", data: "newer" },
    ]),
  );
  assert.equal(report.ok, true, report.message);
  const hidden = await lstat(join(root, "etc/passwd"));
  assert.deepEqual([hidden.isCharacterDevice(), hidden.rdev], [true, 0]);
  assert.deepEqual([...report.opaque].sort(), ["again", "both", "var/cache"]);
  for (const path of report.opaque)
    assert.equal(await xattr(join(root, path), "trusted.overlay.opaque"), "79");
  assert.deepEqual((await readdir(root)).sort(), ["again", "both", "etc", "file", "var"]);
  assert.equal(await readFile(join(root, "file"), "utf8"), "newer");
  assert.equal(await readFile(join(root, "both/kept"), "utf8"), "kept");
});

test("unpacker: capabilities and user attributes are kept, overlay's own and labels left out", async () => {
  await using folder = await temporaryFolder();
  const capability = Buffer.from("0100000200040000000000000000000000000000", "hex");
  const pax = {
    "SCHILY.xattr.security.capability": capability,
    "SCHILY.xattr.user.note": "a=b\nc",
    "SCHILY.xattr.trusted.overlay.redirect": "/etc",
    "SCHILY.xattr.security.selinux": "system_u:object_r:etc_t:s0",
  };
  const report = await unpack(folder.path, buildTar([{ name: "ping", data: "x", mode: 0o755, uid: 5, pax }]));
  assert.equal(report.ok, true, report.message);
  assert.equal(report.skippedAttributes, 2);
  assert.equal(await xattr(join(folder.path, "ping"), "security.capability"), capability.toString("hex"));
  assert.equal(await xattr(join(folder.path, "ping"), "user.note"), Buffer.from("a=b\nc").toString("hex"));
  await assert.rejects(xattr(join(folder.path, "ping"), "trusted.overlay.redirect"));
});

test("unpacker: later entries replace earlier ones, missing folders are made, links to folders are followed inside", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "root");
  const report = await unpack(
    root,
    buildTar([
      { name: "x", data: "file" },
      { name: "x", type: "5", mode: 0o700 },
      { name: "x/y/z", data: "deep" },
      { name: "x", type: "2", linkName: "real/sub" },
      { name: "x/in", data: "through the link" },
      { name: "deep/er/f", data: "f" },
      { name: "f", data: "one" },
      { name: "f", data: "two" },
      { name: "hard", type: "1", linkName: "f" },
    ]),
  );
  assert.equal(report.ok, true, report.message);
  assert.equal(await readlink(join(root, "x")), "real/sub");
  assert.equal(await readFile(join(root, "real/sub/in"), "utf8"), "through the link");
  assert.equal(await readFile(join(root, "hard"), "utf8"), "two");
});

/** Archives that try to write outside, each run with a file beside the layer that must stay as it is. */
const escapes: readonly {
  readonly name: string;
  readonly entries: readonly RawEntry[];
  readonly message?: RegExp;
}[] = [
  {
    name: "dot-dot in a name",
    entries: [{ name: "../victim", data: "evil" }],
    message: /could leave the layer/,
  },
  {
    name: "dot-dot in the middle",
    entries: [{ name: "a/../../victim", data: "evil" }],
    message: /could leave/,
  },
  { name: "an absolute name", entries: [{ name: "/victim", data: "inside" }] },
  {
    name: "a symbolic link to the parent, then through it",
    entries: [
      { name: "up", type: "2", linkName: ".." },
      { name: "up/victim", data: "inside" },
    ],
  },
  {
    name: "an absolute symbolic link, then through it (cve-2024-9676 and others)",
    entries: [
      { name: "up", type: "2", linkName: "VICTIM_FOLDER" },
      { name: "up/victim", data: "inside" },
    ],
  },
  {
    name: "a chain of links",
    entries: [
      { name: "a", type: "2", linkName: "b/../.." },
      { name: "b", type: "2", linkName: "/" },
      { name: "a/victim", data: "inside" },
    ],
  },
  {
    name: "a hard link to a file outside, then writing to it",
    entries: [
      { name: "h", type: "1", linkName: "../victim" },
      { name: "h", data: "evil" },
    ],
    message: /could leave the layer/,
  },
  {
    name: "a hard link through a symbolic link",
    entries: [
      { name: "up", type: "2", linkName: "VICTIM_FOLDER" },
      { name: "h", type: "1", linkName: "up/victim" },
    ],
    message: /link up\/victim to h: No such file/,
  },
  {
    name: "cve-2021-32760: chmod through a symbolic link",
    entries: [
      { name: "l", type: "2", linkName: "VICTIM_FOLDER/victim" },
      { name: "l", type: "2", linkName: "VICTIM_FOLDER/victim", mode: 0o6777, uid: 7 },
    ],
  },
  {
    name: "cve-2021-29136: a symbolic link as the root",
    entries: [{ name: ".", type: "2", linkName: ".." }],
    message: /root of a layer must be a folder/,
  },
  {
    name: "a whiteout of something outside",
    entries: [{ name: "..", type: "5" }, { name: ".wh..." }],
    message: /could leave the layer/,
  },
  { name: "a whiteout of the parent", entries: [{ name: "a/.wh..." }], message: /whiteout without a name/ },
  {
    name: "an opaque marker through a link",
    entries: [{ name: "up", type: "2", linkName: "." }, { name: "up/.wh..wh..opq" }],
    message: /behind a symbolic link/,
  },
  {
    name: "a pax path",
    entries: [{ name: "ok", data: "evil", pax: { path: "../../victim" } }],
    message: /could leave/,
  },
  {
    name: "an unknown type",
    entries: [{ name: "v", type: "V" }],
    message: /entries of type "V" are not supported/,
  },
  {
    name: "a device number out of range",
    entries: [{ name: "d", type: "3", major: 5000 }],
    message: /out of range/,
  },
  {
    name: "an owner out of range",
    entries: [{ name: "d", pax: { uid: "4294967295" } }],
    message: /out of range/,
  },
  {
    name: "a path beyond the limit",
    entries: [{ name: "n", pax: { path: "d/".repeat(3000) } }],
    message: /longer than 4095/,
  },
  {
    name: "a name beyond the kernel's",
    entries: [{ name: "n", pax: { path: "d".repeat(300) } }],
    message: /name too long/i,
  },
];

for (const { name, entries, message } of escapes) {
  test(`unpacker: ${name}`, async () => {
    await using folder = await temporaryFolder();
    const victim = join(folder.path, "victim");
    await writeFile(victim, "untouched", { mode: 0o600 });
    const status = await lstat(victim);
    const own = entries.map((entry) =>
      entry.linkName === undefined
        ? entry
        : { ...entry, linkName: entry.linkName.replace("VICTIM_FOLDER", folder.path) },
    );
    const report = await unpack(join(folder.path, "root"), buildTar(own));
    if (message === undefined) assert.equal(report.ok, true, report.message);
    else assert.match(report.message, message);
    const after = await lstat(victim);
    assert.equal(await readFile(victim, "utf8"), "untouched");
    assert.deepEqual(
      [after.mode, after.uid, after.ctimeMs, after.nlink],
      [status.mode, status.uid, status.ctimeMs, 1],
    );
    assert.deepEqual((await readdir(folder.path)).sort(), ["root", "victim"]);
  });
}

test("unpacker: damaged archives are refused", async () => {
  await using folder = await temporaryFolder();
  const huge = encodeHeader({ name: "f" }, (block) => block.write("80000000ffffffff", 124, "hex"));
  const cases: readonly (readonly [string, Uint8Array, RegExp])[] = [
    [
      "checksum",
      Buffer.concat([Buffer.from("x"), encodeHeader({ name: "f" }).subarray(1), Buffer.alloc(1024)]),
      /header is damaged/,
    ],
    ["cut header", encodeHeader({ name: "f" }).subarray(0, 300), /truncated in a header/],
    [
      "cut data",
      Buffer.concat([encodeHeader({ name: "f", size: 5000 }), Buffer.alloc(512)]),
      /truncated in f/,
    ],
    ["huge size", Buffer.concat([huge, Buffer.alloc(1024)]), /out of range|truncated/],
    [
      "pax record",
      Buffer.concat([encodeHeader({ name: "p", type: "x", size: 9 }), padded("99 path=x")]),
      /malformed record/,
    ],
    [
      "pax size",
      Buffer.concat([encodeHeader({ name: "p", type: "x", size: 2_000_000 })]),
      /extended header is larger/,
    ],
  ];
  for (const [name, bytes, message] of cases) {
    const report = await unpack(join(folder.path, name), bytes);
    assert.equal(report.ok, false, name);
    assert.match(report.message, message, name);
  }
  const many = Array.from({ length: 30 }, (_, index) => ({ name: `f${index}` }));
  assert.match(
    (await unpack(join(folder.path, "many"), buildTar(many), ["1000000", "20"])).message,
    /more than 20 entries/,
  );
});

test("unpacker: works in a world of its own", async () => {
  await using folder = await temporaryFolder();
  const root = join(folder.path, "root");
  await mkdir(root);
  const child = spawn(luajit, [unpacker, "unpack", root, ...lots], {
    env: {},
    stdio: ["pipe", "pipe", "ignore"],
  });
  const pid = String(child.pid);
  // One entry is asked for and never comes: the process is confined and waits.
  child.stdin.write(encodeHeader({ name: "f", size: 10_000_000 }));
  const status = async (): Promise<string> => readFile(`/proc/${pid}/status`, "utf8");
  while (!/^Seccomp:\s+2$/m.test(await status())) await new Promise((resolve) => setTimeout(resolve, 5));
  const text = await status();
  assert.match(text, /^CapEff:\s+0000000088200\w1b$/m);
  assert.match(text, /^NoNewPrivs:\s+1$/m);
  for (const name of ["mnt", "net", "ipc"]) {
    assert.notEqual(await readlink(`/proc/${pid}/ns/${name}`), await readlink(`/proc/self/ns/${name}`), name);
  }
  assert.equal(
    (await readFile(`/proc/${pid}/mountinfo`, "utf8")).trim().split("\n").length,
    1,
    "one mount: the layer",
  );
  const fds = await readdir(`/proc/${pid}/fd`);
  assert.deepEqual(
    fds.filter((fd) => Number(fd) > 2).length <= 1,
    true,
    `0 to 2 and the file being written: ${fds.join()}`,
  );
  child.kill("SIGKILL");
  await once(child, "close");
});

test("unpacker: reads a file handed to it as stdin", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "layer.tar");
  await writeFile(path, buildTar([{ name: "f", data: "1" }]));
  const file = await open(path);
  const root = join(folder.path, "root");
  await mkdir(root);
  const child = spawn(luajit, [unpacker, "unpack", root, ...lots], {
    env: {},
    stdio: [file.fd, "pipe", "ignore"],
  });
  assert.ok(child.stdout !== null);
  const text = await buffer(child.stdout);
  await file.close();
  assert.equal((JSON.parse(text.toString()) as Report).ok, true);
});
