import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { RuntimeError } from "../core/errors.ts";
import type { Job } from "../core/job.ts";
import { openStore } from "../store/index.ts";
import { createContainer, type CreateContainerDeps } from "./containers/create.ts";
import { LifecycleEvents } from "./events.ts";
import { Inventory } from "./inventory.ts";
import { StatePaths } from "./paths.ts";
import { runPod, type RunPodDeps } from "./pods/run.ts";
import { containerRecord, podConfig, podRecord } from "./records.fixture.ts";

/** A daemon whose launcher fails what `failing` names, and keeps what it was asked in `asked`. */
async function open(failing: readonly string[], signal = new AbortController().signal) {
  const folder = await mkdtemp(join(tmpdir(), "berth-undo-"));
  const store = await openStore(join(folder, "store"));
  const inventory = new Inventory(store);
  const asked: string[] = [];
  const ask = (what: string): Promise<object> => {
    asked.push(what);
    const failure = new RuntimeError("deadline-exceeded", `${what} hangs`);
    return failing.includes(what) ? Promise.reject(failure) : Promise.resolve({});
  };
  const clock = (): bigint => 9n;
  const shim = { prepare: () => undefined, cancel: () => ask("cancel") };
  const deps = {
    inventory,
    clock,
    bootId: "boot",
    events: new LifecycleEvents(clock),
    paths: new StatePaths(join(folder, "state")),
    cgroupParent: "/berth",
    cgroupOf: () => "/berth/x",
    networkTimeoutMs: 1000,
    networks: { requireNetwork: () => undefined, detach: () => ask("detach"), attach: () => ask("attach") },
    launcher: {
      newShim: () => shim,
      createPod: () => ask("createPod"),
      removePod: () => ask("removePod"),
      destroy: () => ask("destroy"),
    },
    images: {
      resolve: () => ({ id: "sha256:0", repoDigests: [], process: { stopSignal: "SIGTERM" } }),
      prepare: () => ask("prepare"),
      removeSnapshot: () => ask("removeSnapshot"),
    },
    specs: { resolveUser: () => Promise.resolve({ uid: 0, gid: 0, supplementalGroups: [] }) },
    seccompFilters: { profiles: () => ask("profiles") },
  } as unknown as RunPodDeps & CreateContainerDeps;
  const job: Job = { id: "test", signal, stage: (_name, work) => work(), note: () => undefined };
  return {
    deps,
    job,
    asked,
    inventory,
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

test("undo: a container that cannot be made is forgotten, what might run of it first", async () => {
  await using bed = await open(["profiles"]);
  const pod = await bed.inventory.addPod(podRecord());
  const { config } = containerRecord(pod.id);
  await assert.rejects(createContainer(bed.deps, pod, config, bed.job), /^RuntimeError: profiles hangs$/);
  assert.deepEqual(bed.asked, ["prepare", "profiles", "cancel", "destroy", "removeSnapshot", "cancel"]);
  assert.deepEqual([...bed.inventory.containers()], []);
});

test("undo: a container that can be neither made nor killed is listed as exited, with its files", async () => {
  await using bed = await open(["profiles", "destroy"]);
  const pod = await bed.inventory.addPod(podRecord());
  const { config } = containerRecord(pod.id);
  await assert.rejects(createContainer(bed.deps, pod, config, bed.job));
  assert.equal(bed.asked.includes("removeSnapshot"), false);
  const [kept] = bed.inventory.containers();
  assert.equal(kept?.record.delivery, "delivered");
  const { state } = kept.record;
  assert.equal(state.state, "exited");
  assert.match(state.message, /could not be undone/);
});

test("undo: a pod whose namespaces cannot be removed is listed as not ready, its teardown owed", async () => {
  await using bed = await open(["attach", "removePod"]);
  await assert.rejects(runPod(bed.deps, podConfig(), "", bed.job));
  const [kept] = bed.inventory.pods();
  assert.equal(kept?.record.delivery, "delivered");
  const { state } = kept.record;
  assert.equal(state.state, "not-ready");
  assert.equal(state.teardown, "owed");
});

test("undo: a pod that is cancelled while it is made is undone after that, and forgotten", async () => {
  const cancelled = new AbortController();
  await using bed = await open([], cancelled.signal);
  const running = runPod(bed.deps, podConfig(), "", bed.job);
  cancelled.abort();
  await assert.rejects(running);
  assert.deepEqual(bed.asked, ["createPod", "removePod", "destroy"]);
  assert.deepEqual([...bed.inventory.pods()], []);
});
