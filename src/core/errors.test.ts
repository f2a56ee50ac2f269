import assert from "node:assert/strict";
import { test } from "node:test";
import { asRuntimeError, RuntimeError } from "./errors.ts";

test("errors: where undoing fails as well, the first failure keeps its code and both are told", async () => {
  const failing = async (): Promise<void> => {
    await using undo = new AsyncDisposableStack();
    undo.defer(() => Promise.reject(new Error("umount: busy")));
    throw new RuntimeError("not-found", "no such image");
  };
  const error = asRuntimeError(await failing().catch((thrown: unknown) => thrown));
  assert.equal(error.code, "not-found");
  assert.equal(error.message, "no such image; undoing it: umount: busy");
});

for (const [name, thrown, code, message] of [
  ["a foreign error", new TypeError("x is not a function"), "internal", "x is not a function"],
  ["an abort", new DOMException("gone", "AbortError"), "aborted", "gone"],
  ["no error at all", "text", "internal", "text"],
] as const) {
  test(`errors: ${name} is ${code}`, () => {
    const error = asRuntimeError(thrown);
    assert.equal(error.code, code);
    assert.equal(error.message, message);
  });
}
