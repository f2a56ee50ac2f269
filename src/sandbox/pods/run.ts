import { mkdir, rm } from "node:fs/promises";
import type { PodNetworks } from "../../cni/index.ts";
import type { Clock } from "../../core/clock.ts";
import { newPodId } from "../../core/ids.ts";
import type { Job } from "../../core/job.ts";
import type { Pod, PodConfig, PodNetwork } from "../../core/pod.ts";
import { checkHostname, podSysctls } from "../../oci/index.ts";
import type { Launcher } from "../../shim/client/index.ts";
import { networkOf, type Inventory, type PodEntry } from "../inventory.ts";
import type { StatePaths } from "../paths.ts";
import { writeEarlyFiles, writeHosts } from "./files.ts";
import { ownCgroupParent, podNamespaces, reaperCgroup } from "./namespaces.ts";

/** What running a pod needs. */
export interface RunPodDeps {
  readonly inventory: Inventory;
  readonly launcher: Launcher;
  readonly networks: PodNetworks;
  readonly paths: StatePaths;
  readonly clock: Clock;
  readonly bootId: string;
  /** Parent of the cgroups of pods that name none. */
  readonly cgroupParent: string;
  readonly networkTimeoutMs: number;
}

/** Bytes of a pod's /dev/shm, as other runtimes have it. */
const shmBytes = 64 * 1024 * 1024;

/**
 * Makes a pod: its record, its files, its pinned namespaces, its network; then it is ready, and nobody has
 * claimed it yet. A failure anywhere undoes all of it; where that fails it is listed as not ready. Throws
 * `invalid-argument`, `already-exists`, or `failed-precondition` where there is no network.
 */
export async function runPod(
  deps: RunPodDeps,
  config: PodConfig,
  runtimeHandler: string,
  job: Job,
): Promise<PodEntry> {
  const { inventory, launcher, networks, clock, bootId } = deps;
  checkHostname(config.hostname);
  const sysctls = podSysctls(config);
  const id = newPodId();
  const paths = deps.paths.pod(id);
  const withNetwork = config.security.namespaces.network === "pod";
  if (withNetwork) networks.requireNetwork();

  await using undo = new AsyncDisposableStack();
  const record: Pod = {
    id,
    config,
    runtimeHandler,
    createdAt: clock(),
    bootId,
    delivery: "unclaimed",
    state: { state: "creating" },
  };
  const entry = await inventory.addPod(record);
  undo.defer(() => undoMaking(deps, entry));

  await job.stage("files", async () => {
    await mkdir(paths.shm, { recursive: true, mode: 0o700 });
    await writeEarlyFiles(paths, config);
  });

  const namespaces = podNamespaces(paths, config);
  const reaperGroup = reaperCgroup(deps.cgroupParent, record);
  const created = await job.stage("namespaces", () =>
    // Not cut off by the job's end: undoing it while it is being made would find too little.
    launcher.createPod({
      id,
      ...namespaces,
      sysctls,
      shm: { path: paths.shm, sizeBytes: shmBytes },
      ...(namespaces.pins.pid === undefined ? {} : { cgroup: reaperGroup }),
    }),
  );
  // Written at once: whoever undoes this pod after a crash has to know its PID 1.
  if (created.reaper !== undefined) await inventory.updatePod(entry, { reaper: created.reaper });
  job.signal.throwIfAborted();

  const network: PodNetwork = withNetwork
    ? await job.stage("network", async () => {
        undo.defer(() => networks.detach(id, job, AbortSignal.timeout(deps.networkTimeoutMs)));
        const { metadata, portMappings, annotations, dns, cgroupParent } = config;
        const attached = await networks.attach(
          { id, ...metadata, portMappings, annotations, cgroupParent, ...(dns === undefined ? {} : { dns }) },
          paths.network,
          job,
          AbortSignal.timeout(deps.networkTimeoutMs),
        );
        return { ips: attached.ips, netns: paths.network };
      })
    : { ips: [] };

  await writeHosts(paths, config, network.ips);
  await inventory.updatePod(entry, { state: { state: "ready", network } });
  undo.move();
  return entry;
}

/** Undoes a pod that nobody was given the id of, but for its network. */
async function undoMaking(deps: RunPodDeps, entry: PodEntry): Promise<void> {
  try {
    await removeNamespaces(deps, entry.record);
    await rm(deps.paths.pod(entry.id).folder, { recursive: true, force: true });
  } catch (thrown) {
    await listForRemoval(deps, entry);
    throw thrown;
  }
  await deps.inventory.removePod(entry);
}

/** Lists a pod of which something could not be undone, so that its owner stops and removes it. */
export async function listForRemoval(
  { inventory, clock }: Pick<RunPodDeps, "inventory" | "clock">,
  entry: PodEntry,
): Promise<void> {
  const network = networkOf(entry.record.state);
  await inventory.updatePod(entry, {
    state: { state: "not-ready", network, since: clock(), teardown: "owed" },
    delivery: "delivered",
  });
}

/** Undoes what the launcher made for a pod; every part may be gone already. */
export async function removeNamespaces(
  deps: Pick<RunPodDeps, "inventory" | "launcher" | "paths" | "cgroupParent">,
  pod: Pod,
): Promise<void> {
  const paths = deps.paths.pod(pod.id);
  const reaper = deps.inventory.findPod(pod.id)?.record.reaper ?? pod.reaper;
  const { pins } = podNamespaces(paths, pod.config);
  await deps.launcher.removePod({
    id: pod.id,
    pins,
    shmPath: paths.shm,
    ...(reaper === undefined ? {} : { reaper }),
    ...(pins.pid === undefined ? {} : { cgroup: reaperCgroup(deps.cgroupParent, pod) }),
  });
  const own = ownCgroupParent(deps.cgroupParent, pod);
  if (own !== undefined)
    await deps.launcher.destroy({ id: pod.id, cgroup: own, timeoutMs: destroyTimeoutMs });
}

/** How long the processes of a pod's own cgroup have to die. */
const destroyTimeoutMs = 10_000;
