import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeError } from "../core/errors.ts";
import type { ImageStore } from "../images/index.ts";
import { JobJournal, openStore } from "../store/index.ts";
import { Images } from "./images.ts";

for (const [what, code, goesOn] of [
  ["whose deadline passes leaves its pull running", "deadline-exceeded", true],
  ["that takes its request back ends its pull", "aborted", false],
] as const) {
  test(`images: a caller ${what}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "berth-images-"));
    const store = await openStore(join(folder, "store"));
    const jobs = new JobJournal(store, () => 0n);
    const pulling = Promise.withResolvers<AbortSignal>();
    const registry = Promise.withResolvers<never>();
    const pull: ImageStore["pull"] = ({ signal }) => {
      pulling.resolve(signal);
      return registry.promise;
    };
    const caller = new AbortController();
    const left = new RuntimeError(code, "the caller left");
    const call = new Images({ pull } as ImageStore, jobs).pull("busybox", undefined, caller.signal);
    const signal = await pulling.promise;
    caller.abort(left);
    await assert.rejects(call, left);
    assert.equal(signal.aborted, !goesOn);
    assert.equal(jobs.list()[0]?.state, "running");
    registry.reject(left);
    await jobs.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
}
