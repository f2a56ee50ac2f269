import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { newContainerId } from "../../src/core/ids.ts";
import { describeTree, openTestImages, prepareOverlay, temporaryFolder, testJob } from "./harness.ts";
import { ociTypes, putImage, startRegistry, type TestLayer } from "./registry.ts";

const run = promisify(execFile);
const { signal } = new AbortController();
const umoci = ["/usr/bin/umoci", "/opt/peers/bin/umoci"].find((path) => existsSync(path));

/** A script in an empty folder whose tree becomes the layer, or what of it is packed without the folders that it lies in. */
type LayerScript = string | { readonly script: string; readonly members: readonly string[] };

/** Images as lists of layers. */
const corpus: Readonly<Record<string, readonly LayerScript[]>> = {
  "files of every kind": [
    `mkdir -p d/e; echo 1 > d/f; ln d/f hard; ln -s d/f soft; mkfifo fifo; mknod null c 1 3
     chmod 4755 d/f; chown 12:34 d; mkdir -m 1777 t; truncate -s 1M hole; echo end >> hole
     n=$(printf 'n%.0s' $(seq 150)); mkdir -p $n/$n; echo 1 > $n/$n/$n`,
  ],
  "deleted and replaced": [
    "mkdir -p a/b c; echo 1 > a/b/f; echo 1 > c/f; echo 1 > g; ln -s g h",
    "mkdir a; touch a/.wh.b .wh.g; echo 2 > c",
    "mkdir -p a/b; echo 3 > a/b/new; mkdir h; echo 3 > h/i",
  ],
  "opaque folders": [
    "mkdir -p o/sub p; echo 1 > o/f; echo 1 > o/sub/f; echo 1 > p/f",
    "mkdir -p o/sub; touch o/.wh..wh..opq; echo 2 > o/sub/g",
    "mkdir p; touch p/.wh..wh..opq",
  ],
  "folders that only a lower layer describes": [
    "mkdir -p a/b t; chmod 1777 t; chmod 2750 a/b; chown 12:34 a/b; chmod 700 a; echo 1 > a/b/f; touch -d @1000 t a/b a",
    { script: "mkdir -p a/b t; echo 2 > a/b/g; echo 2 > t/h", members: ["a/b/g", "t/h"] },
    { script: "mkdir -p a/b; touch a/b/.wh.f; echo 3 > a/b/i", members: ["a/b/.wh.f", "a/b/i"] },
  ],
  "owners, modes and times that change": [
    "mkdir -m 700 d; echo 1 > d/f; touch -d @1000 d/f d",
    "mkdir -m 755 d; chown 5:6 d; touch -d @2000 d",
    "mkdir -m 755 d; chown 5:6 d; echo 3 > d/f; chmod 600 d/f; touch -d @3000 d/f d",
  ],
};

async function layerOf(folder: string, layer: LayerScript, index: number): Promise<TestLayer> {
  const { script, members } = typeof layer === "string" ? { script: layer, members: ["."] } : layer;
  const source = join(folder, `layer-${index}`);
  await mkdir(source);
  await run("bash", ["-ec", `umask 022; ${script}; touch -d @${index + 1} .`], { cwd: source });
  const file = `${source}.tar`;
  await run("tar", ["--format=posix", "--sort=name", "--sparse", "-cf", file, "-C", source, ...members]);
  const tar = await readFile(file);
  return { tar, blob: gzipSync(tar), mediaType: ociTypes.gzip };
}

for (const [name, scripts] of Object.entries(corpus)) {
  test(
    `umoci makes the same tree: ${name}`,
    { skip: umoci ? false : "no umoci (Debian package)" },
    async () => {
      await using folder = await temporaryFolder();
      await using registry = await startRegistry();
      await using opened = await openTestImages(join(folder.path, "store"));
      const layers: TestLayer[] = [];
      for (const [index, script] of scripts.entries()) layers.push(await layerOf(folder.path, script, index));
      putImage(registry, "corpus", "1", layers);
      const reference = `${registry.host}/corpus:1`;
      const { image } = await opened.images.pull({ reference, job: testJob(), signal });
      const [layout, ours, theirs] = ["layout", "ours", "theirs"].map((part) => join(folder.path, part));
      for (const path of [layout, ours]) await mkdir(path ?? "");

      const archive = join(folder.path, "image.tar");
      await writeFile(archive, await buffer(opened.images.save([reference], signal)));
      await run("tar", ["-xf", archive, "-C", layout ?? ""]);
      await run(umoci ?? "", ["raw", "unpack", "--image", `${layout ?? ""}:1`, theirs ?? ""]);

      const container = newContainerId();
      await prepareOverlay(opened.images, container, image);
      const tree = join(folder.path, "tree.tar");
      await writeFile(tree, await buffer(opened.images.exportContainer(container, undefined, signal)));
      await run("tar", ["--xattrs", "--xattrs-include=*", "-xpf", tree, "-C", ours ?? ""]);
      const withoutRoot = (lines: readonly string[]): string[] =>
        lines.filter((line) => !line.startsWith(". "));
      assert.deepEqual(
        withoutRoot(await describeTree(ours ?? "")),
        withoutRoot(await describeTree(theirs ?? "")),
      );
    },
  );
}
