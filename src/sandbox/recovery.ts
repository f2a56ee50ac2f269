import { rm } from "node:fs/promises";
import { asRuntimeError, hasCode } from "../core/errors.ts";
import { ShimConnection } from "../shim/client/index.ts";
import { endOf, markEnded, recordLoss, watchShim } from "./containers/end.ts";
import { undoCreation, type CreateContainerDeps } from "./containers/create.ts";
import { wasStarted } from "./containers/start.ts";
import { networkOf, type ContainerEntry, type PodEntry } from "./inventory.ts";
import { hasPins } from "./pods/pins.ts";
import type { RemovePodDeps } from "./pods/remove.ts";
import { listForRemoval, removeNamespaces } from "./pods/run.ts";
import { sweep } from "./sweep.ts";

/** What taking over from the daemon before needs. */
export type RecoveryDeps = CreateContainerDeps & RemovePodDeps;

/** How long one shim has to answer a new daemon before the others go first. */
const shimAnswerMs = 5_000;

/** Shims and pods that are seen to at a time. */
const maxAtOnce = 16;

/** Pause before a shim that did not answer is asked again; twice as long each time, up to the second. */
const firstRetryMs = 1_000;
const lastRetryMs = 60_000;

/** How long the network of a half-made pod may take to go before the daemon serves without waiting for it. */
const undoNetworkMs = 5_000;

/**
 * Brings the records and the machine together again after the daemon ended, however it did: shims that live are
 * listened to, exits that nobody saw are read from their records, what was half made is undone, and what a reboot took
 * is marked. One thing that fails is logged and never keeps the rest from going on.
 */
export async function recover(deps: RecoveryDeps): Promise<void> {
  const { inventory, bootId } = deps;
  await someAtOnce([...inventory.containers()], (entry) =>
    attempt(deps, `container ${entry.id}`, () => settle(deps, entry)),
  );
  await someAtOnce([...inventory.pods()], (pod) =>
    attempt(deps, `pod ${pod.id}`, async () => {
      const { state } = pod.record;
      if (state.state === "creating") {
        // What cannot be undone now is listed, so that its owner stops and removes it.
        await undoPod(deps, pod).catch(async (thrown: unknown) => {
          await listForRemoval(deps, pod);
          throw thrown;
        });
      } else if (state.state === "ready") {
        const isWhole = pod.record.bootId === bootId && (await hasPins(deps.paths, pod.record));
        if (!isWhole) await markNotReady(deps, pod);
      }
    }),
  );
  await sweep(deps, (what, work) => attempt(deps, what, work));
}

async function markNotReady(deps: RecoveryDeps, pod: PodEntry): Promise<void> {
  await deps.inventory.updatePod(pod, {
    state: {
      state: "not-ready",
      network: networkOf(pod.record.state),
      since: deps.clock(),
      teardown: "owed",
    },
  });
}

async function someAtOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: maxAtOnce }, worker));
}

/** Decides what became of one container. */
async function settle(deps: RecoveryDeps, entry: ContainerEntry): Promise<void> {
  const { state, bootId } = entry.record;
  if (state.state === "exited") return;
  if (state.state === "creating") {
    await undoCreation(deps, entry);
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

/** Listens to a shim again. One that is not there was lost; one that does not answer is asked again, and never killed. */
async function reattach(deps: RecoveryDeps, entry: ContainerEntry, retryMs = firstRetryMs): Promise<void> {
  const wait = { timeoutMs: shimAnswerMs };
  let shim: ShimConnection | undefined;
  let state: Awaited<ReturnType<ShimConnection["state"]>>;
  try {
    shim = await ShimConnection.connect(deps.paths.container(entry.id).socket, deps.launcher.identity, wait);
    state = await shim.state(wait);
  } catch (thrown) {
    shim?.close();
    if (shim === undefined && hasCode(thrown, "unavailable")) {
      await recordLoss(deps, entry);
      return;
    }
    const { message } = asRuntimeError(thrown);
    deps.logger.warn("a shim does not answer; asking again", {
      container: entry.id,
      error: message,
      retryMs,
    });
    setTimeout(() => {
      if (entry.record.state.state === "exited" || entry.shim !== undefined) return;
      void attempt(deps, `container ${entry.id}`, () =>
        reattach(deps, entry, Math.min(2 * retryMs, lastRetryMs)),
      );
    }, retryMs).unref();
    return;
  }
  if (state.exit !== undefined) {
    shim.close();
    await markEnded(deps, entry, endOf(state.exit));
    return;
  }
  // The daemon may have ended between the shim's start and the record of it.
  if (entry.record.state.state === "created" && wasStarted(state)) {
    await deps.inventory.updateContainer(entry, () => ({
      state: { state: "running", pid: state.pid, startedAt: BigInt(state.startedAt) },
    }));
  }
  // What a commit held still goes on: the daemon that would have let it is gone.
  if (state.status === "paused") await shim.resume(wait);
  watchShim(deps, entry, shim);
}

/** A pod whose creation was cut off: nobody was given its id. */
async function undoPod(deps: RecoveryDeps, pod: PodEntry): Promise<void> {
  const deadline = AbortSignal.timeout(Math.min(undoNetworkMs, deps.networkTimeoutMs));
  await deps.networks.detach(pod.id, undefined, deadline);
  await removeNamespaces(deps, pod.record);
  await rm(deps.paths.pod(pod.id).folder, { recursive: true, force: true });
  await deps.inventory.removePod(pod);
}

async function attempt(deps: RecoveryDeps, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    deps.logger.error(`recovery of ${what} failed`, { error: asRuntimeError(thrown).message });
  }
}
