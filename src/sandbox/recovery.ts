import { readdir, rm } from "node:fs/promises";
import { asRuntimeError } from "../core/errors.ts";
import { parseContainerId, parsePodId } from "../core/ids.ts";
import { ShimConnection } from "../shim/client/index.ts";
import { endOf, markEnded, recordLoss, watchShim } from "./containers/end.ts";
import type { CreateContainerDeps } from "./containers/create.ts";
import { removeContainer } from "./containers/remove.ts";
import { networkOf, type ContainerEntry, type PodEntry } from "./inventory.ts";
import { hasPins } from "./pods/pins.ts";
import type { RemovePodDeps } from "./pods/remove.ts";
import { removeNamespaces } from "./pods/run.ts";

/** What taking over from the daemon before needs. */
export type RecoveryDeps = CreateContainerDeps & RemovePodDeps;

/** How long one shim has to answer a new daemon. */
const shimAnswerMs = 2_000;

/**
 * Brings the records and the machine together again after the daemon ended, however it did: shims that live are
 * listened to, exits that nobody saw are read from their records, what was half made is undone, and what a reboot took
 * is marked. One thing that fails is logged and never keeps the rest from going on.
 */
export async function recover(deps: RecoveryDeps): Promise<void> {
  const { inventory, bootId } = deps;
  const containers = [...inventory.containers()];
  await Promise.all(
    containers.map((entry) => attempt(deps, `container ${entry.id}`, () => settle(deps, entry))),
  );
  for (const pod of [...inventory.pods()]) {
    await attempt(deps, `pod ${pod.id}`, async () => {
      const { state } = pod.record;
      if (state.state === "creating") await undoPod(deps, pod);
      else if (
        state.state === "ready" &&
        (pod.record.bootId !== bootId || !(await hasPins(deps.paths, pod.record)))
      ) {
        await inventory.updatePod(pod, {
          state: { state: "not-ready", network: networkOf(state), since: deps.clock(), teardown: "owed" },
        });
      }
    });
  }
  await sweep(deps);
}

/** Decides what became of one container. */
async function settle(deps: RecoveryDeps, entry: ContainerEntry): Promise<void> {
  const { state, bootId } = entry.record;
  if (state.state === "exited") return;
  if (state.state === "creating") {
    await undoContainer(deps, entry);
    return;
  }
  if (bootId !== deps.bootId) {
    await markEnded(deps, entry, {
      startedAt: state.state === "running" ? state.startedAt : 0n,
      finishedAt: deps.clock(),
      exitCode: 255,
      reason: "Unknown",
      message: "the node was rebooted while the container was there",
    });
    return;
  }
  await reattach(deps, entry);
}

async function reattach(deps: RecoveryDeps, entry: ContainerEntry): Promise<void> {
  const wait = { timeoutMs: shimAnswerMs };
  let shim: ShimConnection;
  try {
    shim = await ShimConnection.connect(deps.paths.container(entry.id).socket, deps.launcher.identity, wait);
  } catch {
    await recordLoss(deps, entry);
    return;
  }
  const state = await shim.state(wait);
  if (state.exit !== undefined) {
    shim.close();
    await markEnded(deps, entry, endOf(state.exit));
    return;
  }
  // The daemon may have ended between the shim's start and the record of it.
  if (state.status === "running" && entry.record.state.state === "created") {
    await deps.inventory.updateContainer(entry, () => ({
      state: { state: "running", pid: state.pid, startedAt: BigInt(state.startedAt) },
    }));
  }
  watchShim(deps, entry, shim);
}

/** A container whose creation was cut off: nobody was given its id. */
async function undoContainer(deps: RecoveryDeps, entry: ContainerEntry): Promise<void> {
  await deps.launcher.destroy({ id: entry.id, cgroup: deps.cgroupOf(entry), timeoutMs: 10_000 });
  await removeContainer(deps, entry, detachedJob);
}

/** A pod whose creation was cut off: nobody was given its id. */
async function undoPod(deps: RecoveryDeps, pod: PodEntry): Promise<void> {
  await deps.networks.detach(pod.id, undefined, AbortSignal.timeout(deps.networkTimeoutMs));
  await removeNamespaces(deps, pod.record);
  await rm(deps.paths.pod(pod.id).folder, { recursive: true, force: true });
  await deps.inventory.removePod(pod);
}

/** Folders that no record names: left by a daemon that died between an effect and its undoing. */
async function sweep(deps: RecoveryDeps): Promise<void> {
  for (const name of await listFolder(deps.paths.containers)) {
    await attempt(deps, `left folder of container ${name}`, async () => {
      if (deps.inventory.findContainer(parseContainerId(name)) === undefined) {
        await rm(`${deps.paths.containers}/${name}`, { recursive: true, force: true });
      }
    });
  }
  for (const name of await listFolder(deps.paths.pods)) {
    await attempt(deps, `left folder of pod ${name}`, async () => {
      const id = parsePodId(name);
      if (deps.inventory.findPod(id) !== undefined) return;
      const paths = deps.paths.pod(id);
      const { network, ipc, uts, pid, user, shm } = paths;
      await deps.launcher.removePod({ id, pins: { network, ipc, uts, pid, user }, shmPath: shm });
      await rm(paths.folder, { recursive: true, force: true });
    });
  }
}

async function listFolder(path: string): Promise<readonly string[]> {
  return readdir(path).catch(() => []);
}

async function attempt(deps: RecoveryDeps, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    deps.logger.error(`recovery of ${what} failed`, { error: asRuntimeError(thrown).message });
  }
}

/** Recovery is no request: what it does shows in the log. */
const detachedJob = {
  id: "recovery",
  signal: new AbortController().signal,
  stage: <T>(_name: string, work: () => Promise<T>): Promise<T> => work(),
  note: (): void => undefined,
};
