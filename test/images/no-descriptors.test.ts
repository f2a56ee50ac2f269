import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import { before, test } from "node:test";
import { runProgram } from "../../src/cni/plugin-process.ts";
import { digestTree, packTree } from "../../src/images/pack.ts";
import { askCredentialHelper } from "../../src/images/registry/credential-helper.ts";
import { unpackLayer } from "../../src/images/unpack.ts";

const { signal } = new AbortController();
const program = { luajit: "luajit", program: "unpack.lua" };
const settings = { ...program, maxLayerBytes: 1e9 };

before(() => {
  execFileSync("prlimit", ["--nofile=256:", "--pid", String(process.pid)]);
});

/** Runs something while this process can open nothing. */
async function withoutDescriptors<T>(run: () => Promise<T>): Promise<T> {
  const held: number[] = [];
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "EMFILE");
  }
  try {
    return await run();
  } finally {
    held.forEach(closeSync);
  }
}

async function* bytes(): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield Buffer.alloc(512);
}

// Node then emits the error in the next tick and leaves the streams out: one without a listener ends the daemon.
const starts: Readonly<Record<string, () => Promise<unknown>>> = {
  "a CNI plugin": () => runProgram("plugin x", ["true"], {}, "{}", signal),
  "a credential helper": () => askCredentialHelper("x", "registry.example"),
  "the packer": () => buffer(packTree(program, { form: "layer", folders: ["/"], what: "the tree" }, signal)),
  "the digester": () => digestTree(program, "/", "metadata", "the tree", signal),
  "the unpacker": () =>
    unpackLayer(settings, "/nowhere", { kind: "stream", open: bytes }, "the layer", signal),
};
for (const [what, start] of Object.entries(starts)) {
  test(`out of descriptors: starting ${what} fails, and nothing else does`, async () => {
    await withoutDescriptors(() => assert.rejects(start(), /EMFILE/));
  });
}
