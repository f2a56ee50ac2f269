import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { readApplets } from "./busybox.ts";
import { parseElf } from "./elf.ts";
import { parseLoaderCache } from "./libraries.ts";

test("elf: what this interpreter itself needs", async () => {
  const elf = parseElf(await readFile(process.execPath), process.execPath);
  assert.match(elf.interpreter ?? "", /^\/lib.*ld-linux/);
  assert.ok(elf.needed.some((name) => name.startsWith("libc.so")));
});

test("elf: damaged files are refused, not crashed on", async () => {
  const whole = (await readFile("/bin/ls")).subarray(0, 200_000);
  assert.throws(() => parseElf(Buffer.from("#!/bin/sh\n".repeat(20)), "/x"), {
    message: "/x: it is not an ELF binary",
  });
  for (let length = 64; length < whole.length; length += 997) {
    try {
      parseElf(whole.subarray(0, length), "/cut");
    } catch (error) {
      assert.match((error as Error).message, /^\/cut: its headers are damaged/);
    }
  }
  assert.deepEqual(parseLoaderCache(Buffer.from("no cache")), new Map());
});

test("busybox: applets are read from the binary's table", () => {
  const table = Buffer.from("junk\0[\0[[\0ash\0cat\0x-y.z\0\0more", "latin1");
  assert.deepEqual(readApplets(table), ["[", "[[", "ash", "cat", "x-y.z"]);
  assert.deepEqual(readApplets(Buffer.from("nothing")), []);
});
