import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeError } from "../core/errors.ts";
import { JobJournal, openStore, type JobRequest } from "./index.ts";

const never = new AbortController().signal;
const request: JobRequest = { kind: "RunPodSandbox", subject: "web", key: "web/0", kept: "journal" };

async function openJournal(): Promise<
  AsyncDisposable & { journal: JobJournal; reopen: () => Promise<JobJournal> }
> {
  const folder = await mkdtemp(join(tmpdir(), "berth-jobs-"));
  let store = await openStore(join(folder, "store"));
  let time = 0n;
  const clock = (): bigint => ++time;
  const journal = new JobJournal(store, clock);
  return {
    journal,
    reopen: async () => {
      await journal.flush();
      await store.close();
      store = await openStore(join(folder, "store"));
      return new JobJournal(store, clock);
    },
    [Symbol.asyncDispose]: async () => {
      await journal.flush();
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

test("jobs: stages, notes and the result are kept across a restart", async () => {
  await using fixture = await openJournal();
  const result = await fixture.journal.run(request, never, async (job) => {
    await job.stage("network", async () => {
      job.note("plugin bridge: 1 ms");
      return Promise.resolve();
    });
    return "the-id";
  });
  assert.equal(result, "the-id");
  const journal = await fixture.reopen();
  assert.deepEqual(await journal.load(), []);
  const [record] = journal.list();
  assert.equal(record?.state, "done");
  assert.equal(record.result, "the-id");
  assert.deepEqual(
    record.stages.map(({ name, notes }) => ({ name, notes })),
    [{ name: "network", notes: ["plugin bridge: 1 ms"] }],
  );
});

test("jobs: a second caller with the same key joins; a caller that leaves does not stop the work", async () => {
  await using fixture = await openJournal();
  const gate = Promise.withResolvers<string>();
  let starts = 0;
  const work = async (): Promise<string> => {
    starts++;
    return gate.promise;
  };
  const leaving = new AbortController();
  const first = fixture.journal.run(request, leaving.signal, work);
  const second = fixture.journal.run(request, never, work);
  leaving.abort(new RuntimeError("deadline-exceeded", "the caller's deadline passed"));
  await assert.rejects(first, /deadline passed/);
  gate.resolve("id");
  assert.equal(await second, "id");
  assert.equal(starts, 1);
  assert.equal(await fixture.journal.run(request, never, () => Promise.resolve("another")), "another");
});

test("jobs: a failure is kept with its stage, and its key is free again", async () => {
  await using fixture = await openJournal();
  const failing = fixture.journal.run(request, never, (job) =>
    job.stage("cgroup", () => Promise.reject(new RuntimeError("internal", "mkdir /x: no space left"))),
  );
  await assert.rejects(failing, /no space left/);
  const [record] = fixture.journal.list();
  assert.equal(record?.state, "failed");
  assert.equal(record.error, "mkdir /x: no space left");
  assert.equal(record.stages[0]?.error, "mkdir /x: no space left");
});

test("jobs: what ran when the daemon ended is aborted at the next start", async () => {
  await using fixture = await openJournal();
  const started = Promise.withResolvers<undefined>();
  void fixture.journal.run(request, never, () => {
    started.resolve(undefined);
    return new Promise(() => undefined);
  });
  await started.promise;
  const journal = await fixture.reopen();
  const interrupted = await journal.load();
  assert.deepEqual(
    interrupted.map(({ kind, state }) => [kind, state]),
    [["RunPodSandbox", "aborted"]],
  );
});

test("jobs: progress shows while a job runs, and is neither on disk nor with what has ended", async () => {
  await using fixture = await openJournal();
  const gate = Promise.withResolvers<undefined>();
  const layer = { name: "a", stage: "transferring", peer: "r", totalBytes: 2, bytesPerSecond: 1 };
  let doneBytes = 0;
  const running = fixture.journal.run(request, never, async (job) => {
    job.progress(() => [{ ...layer, doneBytes }]);
    await gate.promise;
  });
  while (fixture.journal.list()[0]?.progress === undefined) await new Promise(setImmediate);
  doneBytes = 1;
  assert.deepEqual(fixture.journal.list()[0]?.progress, [{ ...layer, doneBytes: 1 }]);
  const crashed = await fixture.reopen();
  await crashed.load();
  assert.equal(crashed.list()[0]?.progress, undefined);
  gate.resolve(undefined);
  await running;
  assert.equal(fixture.journal.list()[0]?.progress, undefined);
});
