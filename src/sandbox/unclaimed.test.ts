import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mock, test } from "node:test";
import type { Container } from "../core/container.ts";
import { hasCode, RuntimeError } from "../core/errors.ts";
import type { Job } from "../core/job.ts";
import { silentLogger } from "../core/logger.ts";
import type { Pod } from "../core/pod.ts";
import { JobJournal, openStore } from "../store/index.ts";
import { LifecycleEvents } from "./events.ts";
import { Inventory, type PodEntry } from "./inventory.ts";
import { attemptOf } from "./names.ts";
import { StatePaths } from "./paths.ts";
import { containerRecord, podConfig, podRecord } from "./records.fixture.ts";
import { isShown } from "./selection.ts";
import { Unclaimed, type UnclaimedDeps } from "./unclaimed.ts";

const never = new AbortController().signal;
const timeoutMs = 120_000;

const job: Job = {
  id: "test",
  signal: never,
  stage: (_name, work) => work(),
  note: () => undefined,
};

/** The real inventory, jobs and events; of the machine, only what undoing asks of it. */
async function open() {
  mock.timers.enable({ apis: ["setTimeout"] });
  const folder = await mkdtemp(join(tmpdir(), "berth-unclaimed-"));
  const store = await openStore(join(folder, "store"));
  const clock = (): bigint => 0n;
  const inventory = new Inventory(store);
  const events = new LifecycleEvents(clock);
  const told: string[] = [];
  events.listen(({ kind, audience }) => {
    if (audience === "clients") told.push(kind);
  });
  const jobs = new JobJournal(store, clock);
  const teardown = { failure: undefined as Error | undefined };
  const detach = (): Promise<void> =>
    teardown.failure === undefined ? Promise.resolve() : Promise.reject(teardown.failure);
  const deps = {
    inventory,
    events,
    jobs,
    clock,
    logger: silentLogger,
    paths: new StatePaths(join(folder, "state")),
    cgroupParent: "/berth",
    networkTimeoutMs: 1000,
    unclaimedTimeoutMs: timeoutMs,
    cgroupOf: () => "/berth/x",
    launcher: { removePod: () => Promise.resolve(), destroy: () => Promise.resolve() },
    networks: { detach },
    images: { removeSnapshot: () => Promise.resolve() },
  } as unknown as UnclaimedDeps;
  const unclaimed = new Unclaimed(deps);
  return {
    store,
    inventory,
    unclaimed,
    deps,
    told,
    teardown,
    /** Makes a pod as runPod does: nobody has claimed it. */
    makePod: async (attempt = 0): Promise<PodEntry> => {
      const record = madePod(attempt);
      const id = await unclaimed.make(attemptOf(record), job, () => inventory.addPod(record));
      return inventory.pod(id);
    },
    /** Lets time pass, and what is due then come to its end. */
    pass: async (ms: number): Promise<void> => {
      mock.timers.tick(ms);
      while (jobs.list().some(({ state }) => state === "running")) await new Promise(setImmediate);
    },
    [Symbol.asyncDispose]: async () => {
      unclaimed[Symbol.dispose]();
      mock.timers.reset();
      await jobs.close();
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

function madePod(attempt: number, change: Partial<Pod> = {}): Pod {
  const { metadata, ...config } = podConfig();
  return podRecord({
    config: { ...config, metadata: { ...metadata, attempt } },
    delivery: "unclaimed",
    ...change,
  });
}

function madeContainer(pod: PodEntry, attempt: number): Container {
  const record = containerRecord(pod.id, {
    delivery: "unclaimed",
    // Neither process nor shim: there is nothing to kill.
    state: { state: "exited", startedAt: 0n, finishedAt: 1n, exitCode: 0, reason: "", message: "" },
  });
  return { ...record, config: { ...record.config, metadata: { name: "app", attempt } } };
}

test("unclaimed: what was made is hidden until it is claimed, then told of and kept for good", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  assert.equal(isShown(pod.record), false);
  assert.deepEqual(bed.told, []);
  await bed.unclaimed.claim(pod, never);
  assert.equal(isShown(pod.record), true);
  assert.deepEqual(bed.told, ["created", "started"]);
  await bed.pass(10 * timeoutMs);
  assert.equal(bed.inventory.findPod(pod.id), pod);
  // Those that joined the same job get it too.
  assert.equal(await bed.unclaimed.claim(pod, never), pod);
  assert.deepEqual(bed.told, ["created", "started"]);
});

test("unclaimed: a caller that has gone claims nothing", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  const gone = new RuntimeError("deadline-exceeded", "the caller's deadline passed");
  await assert.rejects(bed.unclaimed.claim(pod, AbortSignal.abort(gone)), gone);
  assert.equal(isShown(pod.record), false);
});

test("unclaimed: a retry gets what is there, with the whole time again", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  await bed.pass(timeoutMs - 1);
  assert.equal(await bed.makePod(), pod);
  await bed.pass(timeoutMs - 1);
  assert.equal(bed.inventory.findPod(pod.id), pod);
  await bed.unclaimed.claim(pod, never);
});

test("unclaimed: undone in silence when nobody comes in time", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  await bed.pass(timeoutMs - 1);
  assert.equal(bed.inventory.findPod(pod.id), pod);
  await bed.pass(1);
  assert.equal(bed.inventory.findPod(pod.id), undefined);
  assert.deepEqual(bed.told, []);
  await assert.rejects(bed.unclaimed.claim(pod, never), (error) => hasCode(error, "not-found"));
  assert.notEqual(await bed.makePod(), pod);
});

test("unclaimed: removed by its id, it is gone, and its time passes for nothing", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  await bed.inventory.removePod(pod);
  await bed.pass(timeoutMs);
  assert.deepEqual(bed.deps.jobs.list(), []);
});

test("unclaimed: a higher attempt undoes a lower one, and leaves what was delivered and others' alone", async () => {
  await using bed = await open();
  const delivered = await bed.makePod(0);
  await bed.unclaimed.claim(delivered, never);
  const lower = await bed.makePod(1);
  const { metadata, ...config } = podConfig();
  const foreign = madePod(1, { config: { ...config, metadata: { ...metadata, uid: "another" } } });
  await bed.unclaimed.make(attemptOf(foreign), job, () => bed.inventory.addPod(foreign));
  const higher = await bed.makePod(2);
  assert.deepEqual(
    [...bed.inventory.pods()].map(({ id }) => id),
    [delivered.id, foreign.id, higher.id],
  );
  assert.equal(bed.inventory.findPod(lower.id), undefined);
});

test("unclaimed: what is finished after a higher attempt came is undone at once", async () => {
  await using bed = await open();
  const higher = await bed.makePod(1);
  const late = await bed.makePod(0);
  await bed.pass(0);
  assert.deepEqual([...bed.inventory.pods()], [higher]);
  assert.equal(bed.inventory.findPod(late.id), undefined);
});

test("unclaimed: containers count within their pod, and one that has ended is not handed to a retry", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  await bed.unclaimed.claim(pod, never);
  const make = (attempt: number): Promise<string> => {
    const record = madeContainer(pod, attempt);
    return bed.unclaimed.make(attemptOf(record), job, () => bed.inventory.addContainer(pod, record));
  };
  const first = await make(0);
  const second = await make(0);
  assert.notEqual(second, first);
  const higher = await make(1);
  assert.deepEqual(
    [...pod.containers].map(({ id }) => id),
    [higher],
  );
  await bed.pass(timeoutMs);
  assert.equal(pod.containers.size, 0);
});

test("unclaimed: what cannot be undone is listed, so that its owner does it", async () => {
  await using bed = await open();
  bed.teardown.failure = new RuntimeError("internal", "the plugin failed");
  const pod = await bed.makePod();
  await bed.pass(timeoutMs);
  assert.equal(isShown(pod.record), true);
  assert.equal(pod.record.state.state, "not-ready");
  assert.deepEqual(bed.told, ["created", "stopped"]);
  await assert.rejects(bed.makePod(), (error) => hasCode(error, "already-exists"));
});

test("unclaimed: the next daemon keeps it hidden, with the whole time again", async () => {
  await using bed = await open();
  const pod = await bed.makePod();
  await bed.pass(timeoutMs - 1);
  bed.unclaimed[Symbol.dispose]();
  const inventory = new Inventory(bed.store);
  await inventory.load(assert.fail);
  using next = new Unclaimed({ ...bed.deps, inventory });
  next.resume();
  await bed.pass(timeoutMs - 1);
  assert.equal(isShown(inventory.pod(pod.id).record), false);
  await bed.pass(1);
  assert.equal(inventory.findPod(pod.id), undefined);
});
