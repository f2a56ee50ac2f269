import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { parseElf } from "../../src/images/host/elf.ts";
import { listPaths, openTestImages, prepareOverlay, temporaryFolder, testJob } from "./harness.ts";

const run = promisify(execFile);
const { signal } = new AbortController();

test("from host: a shell with its libraries runs in a chroot", async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  const binaries = ["/bin/sh", "/bin/ls", "/usr/bin/id"];
  const image = await opened.images.fromHost({ name: "demo", binaries, job: testJob(), signal });
  assert.deepEqual(image.tags, ["docker.io/library/demo:latest"]);
  assert.deepEqual(image.process.cmd, ["/bin/sh"]);
  const [lower = ""] = (await prepareOverlay(opened.images, "0".repeat(64) as never, image)).lowers;
  const root = join(opened.root, "layers", lower);
  const { stdout } = await run("chroot", [root, "/bin/sh", "-c", "id -un; ls -d /tmp /etc/passwd"]);
  assert.equal(stdout, "root\n/etc/passwd\n/tmp\n");
  const again = await opened.images.fromHost({ name: "demo:2", binaries, job: testJob(), signal });
  assert.equal(again.id, image.id, "the same binaries give the same image");
});

test("from host: a static busybox brings its applets", { skip: await needsBusybox() }, async () => {
  await using folder = await temporaryFolder();
  await using opened = await openTestImages(folder.path);
  const image = await opened.images.fromHost({
    name: "bb",
    binaries: ["/bin/busybox"],
    job: testJob(),
    signal,
  });
  const [lower = ""] = (await prepareOverlay(opened.images, "0".repeat(64) as never, image)).lowers;
  const root = join(opened.root, "layers", lower);
  const { stdout } = await run("chroot", [
    root,
    "/bin/sh",
    "-c",
    "echo $(seq 3); cat /etc/group | head -n 1",
  ]);
  assert.equal(stdout, "1 2 3\nroot:x:0:\n");
});

async function needsBusybox(): Promise<string | false> {
  try {
    const { interpreter } = parseElf(await readFile("/bin/busybox"), "/bin/busybox");
    return interpreter === undefined ? false : "busybox is not static here";
  } catch {
    return "there is no busybox here";
  }
}

for (const [what, binaries, message] of [
  ["nothing", [], /no binary is named/],
  ["a missing file", ["/no/such"], /\/no\/such: no such file/],
  ["a relative path", ["bin/sh"], /not an absolute path/],
  ["a script", ["/usr/bin/ldd"], /\/usr\/bin\/ldd: it is not an ELF binary/],
  ["a folder", ["/etc"], /EISDIR|not a regular file/],
] as const) {
  test(`from host: refuses ${what}`, async () => {
    await using folder = await temporaryFolder();
    await using opened = await openTestImages(folder.path);
    const before = await listPaths(opened.root);
    await assert.rejects(opened.images.fromHost({ name: "x", binaries, job: testJob(), signal }), {
      message,
    });
    assert.deepEqual(await listPaths(opened.root), before);
  });
}
