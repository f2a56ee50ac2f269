import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { compileLua } from "./support/lua.ts";

const root = process.getuid?.() === 0 ? {} : { skip: "setting labels needs root" };

/** Labels are kept by file systems also where the kernel has no SELinux that would obey them. */
suite("relabel", root, () => {
  const module = compileLua("mounts/relabel.ts");
  const folder = mkdtempSync(join(tmpdir(), "berth-relabel-"));
  after(() => {
    module[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  });
  const label = "system_u:object_r:container_file_t:s0:c1,c2";
  const relabel = (path: string): string =>
    module.run(
      "local ok, failure = pcall(module.relabel, ...); if not ok then print(failure.code, failure.message) end",
      [path, label],
    );
  const labelled = (path: string): string[] =>
    execFileSync("getfattr", ["--absolute-names", "-h", "-R", "-P", "-m", "security.selinux", path], {
      encoding: "utf8",
    })
      .split("\n")
      .flatMap((line) => /^# file: (.*)$/.exec(line)?.[1] ?? [])
      .toSorted();

  test("relabel: a folder with all that is in it, links themselves, nothing that they point at", () => {
    const [volume, outside] = [join(folder, "volume"), join(folder, "outside")];
    mkdirSync(join(volume, "a/b"), { recursive: true });
    mkdirSync(outside);
    writeFileSync(join(outside, "secret"), "");
    writeFileSync(join(volume, "a/b/file"), "");
    execFileSync("mkfifo", [join(volume, "fifo")]);
    symlinkSync(outside, join(volume, "link"));
    symlinkSync(join(outside, "secret"), join(volume, "a/link"));
    assert.equal(relabel(volume), "");
    const all = ["", "/a", "/a/b", "/a/b/file", "/a/link", "/fifo", "/link"].map((name) => volume + name);
    assert.deepEqual(labelled(folder), all.toSorted());
    const value = execFileSync(
      "getfattr",
      ["--only-values", "-n", "security.selinux", join(volume, "a/b/file")],
      {
        encoding: "utf8",
      },
    );
    assert.equal(value, label);
  });

  test("relabel: a file, and a folder by a link to it", () => {
    const [file, real, link] = [join(folder, "file"), join(folder, "real"), join(folder, "to-real")];
    writeFileSync(file, "");
    mkdirSync(real);
    symlinkSync(real, link);
    assert.equal(relabel(file), "");
    assert.equal(relabel(`${link}/`), "");
    assert.deepEqual(labelled(file), [file]);
    assert.deepEqual(labelled(real), [real]);
  });

  test("relabel: folders of the system are refused, however they are named", () => {
    symlinkSync("/etc", join(folder, "etc"));
    for (const path of ["/", "/etc", "/usr/", "/usr/../var", join(folder, "etc")]) {
      assert.match(relabel(path), /^invalid-argument\t.*selinux_relabel of a folder of the system/, path);
    }
  });

  test("relabel: a file system without labels is left as it is, a source that is gone is an error", () => {
    assert.equal(relabel("/proc/self/task"), "");
    assert.match(relabel(join(folder, "gone")), /no such file/);
  });
});
