import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { libc, SharedLibrary } from "./ffi.ts";

test("ffi: integers, buffers and text cross, errno comes back", () => {
  const kill = libc.function("kill", ["i32", "i32"], "i32");
  assert.deepEqual(kill(2 ** 30, 0), { value: -1, errno: constants.errno.ESRCH });
  const uname = libc.function("uname", ["bytes"], "i32");
  const name = Buffer.alloc(6 * 65);
  assert.equal(uname(name).value, 0);
  assert.equal(name.toString("latin1", 0, 5), "Linux");
  assert.equal(libc.function("access", ["text", "i32"], "i32")("/proc/self/status", 0).value, 0);
});

test("ffi: 64 bits pass both ways whole", () => {
  const llabs = libc.function("llabs", ["i64"], "bigint");
  assert.equal(llabs(-(2n ** 62n) - 1n).value, 2n ** 62n + 1n);
});

test("ffi: a call on another thread leaves this one free and reports its own errno", async () => {
  const gettid = libc.function("gettid", [], "i32");
  assert.notEqual((await gettid.inThread()).value, gettid().value);
  const kill = libc.function("kill", ["i32", "i32"], "i32");
  assert.deepEqual(await kill.inThread(2 ** 30, 0), { value: -1, errno: constants.errno.ESRCH });
});

test("ffi: null is NULL", () => {
  assert.notEqual(libc.function("time", ["bytes"], "i64")(null).value, -1);
});

test("ffi: a missing library names its Debian package", () => {
  const absent = new SharedLibrary("libberth-absent.so.9", "libberth9");
  assert.throws(
    () => absent.function("f", [], "i32")(),
    (error) => hasCode(error, "failed-precondition") && error.message.includes("Debian package libberth9"),
  );
});

test("ffi: a NUL in a string is refused", () => {
  assert.throws(
    () => libc.function("access", ["text", "i32"], "i32")("/proc\0/self", 0),
    (error) => hasCode(error, "invalid-argument"),
  );
});
