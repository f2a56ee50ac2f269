import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readMerged, type ViewLayer } from "./view.ts";

/** Layers given lowest first: paths to text, `-> target` for a link, `/` for a folder. */
async function makeLayers(
  root: string,
  layers: readonly { readonly files: Record<string, string>; readonly opaque?: readonly string[] }[],
): Promise<ViewLayer[]> {
  const made: ViewLayer[] = [];
  for (const [index, { files, opaque = [] }] of layers.entries()) {
    const path = join(root, String(index));
    await mkdir(path);
    for (const [name, text] of Object.entries(files)) {
      const place = join(path, name);
      await mkdir(text === "/" ? place : dirname(place), { recursive: true });
      if (text.startsWith("-> ")) await symlink(text.slice(3), place);
      else if (text !== "/") await writeFile(place, text);
    }
    made.unshift({ path, opaque: new Set(opaque) });
  }
  return made;
}

test("view: layers merge, links stay inside, odd files are refused", async () => {
  const root = await mkdtemp(join(tmpdir(), "berth-view-"));
  await using _root = { [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
  await writeFile(join(root, "outside"), "host");
  const layers = await makeLayers(root, [
    {
      files: {
        "etc/passwd": "low",
        "etc/group": "group",
        "opt/a": "low a",
        "opt/b": "low b",
        dir: "/",
        file: "file",
        "usr/etc/x": "x",
      },
    },
    {
      files: {
        "etc/passwd": "high",
        "opt/b": "high b",
        "l/abs": "-> /etc/group",
        "l/up": "-> ../../../../outside",
      },
      opaque: ["opt"],
    },
    {
      files: {
        "l/host": `-> ${root}/outside`,
        "l/loop": "-> loop",
        "l/usr": "-> ../usr",
        dir: "now a file",
        "file/in": "now a folder",
        "usr/lib": "-> etc",
      },
    },
  ]);
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["/etc/passwd", "high"],
    ["etc//./group", "group"],
    ["/../../etc/group", "group"],
    ["/opt/a", undefined],
    ["/opt/b", "high b"],
    ["/l/abs", "group"],
    ["/l/up", undefined],
    ["/l/host", undefined],
    ["/l/usr/etc/x", "x"],
    ["/l/usr/lib/x", "x"],
    ["/dir", "now a file"],
    ["/dir/f", undefined],
    ["/file/in", "now a folder"],
    ["/none/such", undefined],
  ];
  for (const [path, text] of cases)
    assert.equal((await readMerged(layers, path, 100))?.toString(), text, path);
  await assert.rejects(readMerged(layers, "/l/loop", 100), {
    code: "failed-precondition",
    message: /too many symbolic links/,
  });
  await assert.rejects(readMerged(layers, "/etc", 100), { message: /it is a folder/ });
  await assert.rejects(readMerged(layers, "/etc/group", 4), {
    code: "resource-exhausted",
    message: /larger than 4 bytes/,
  });
  assert.equal((await readMerged(layers, "/etc/group", 5))?.length, 5);
});
