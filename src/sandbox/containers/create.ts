import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { Container, ContainerConfig } from "../../core/container.ts";
import { RuntimeError } from "../../core/errors.ts";
import { newContainerId } from "../../core/ids.ts";
import type { Image } from "../../core/image.ts";
import type { Job } from "../../core/job.ts";
import { effectiveStopSignal } from "../../oci/index.ts";
import { writeBundle } from "../bundle.ts";
import type { ContainerSpecs } from "../container-specs.ts";
import type { ContainerEntry, Inventory, PodEntry } from "../inventory.ts";
import type { SeccompFilters } from "../seccomp-filters.ts";
import {
  findVolumeImages,
  holdVolumeImages,
  idsByPath,
  volumeImageIds,
  type VolumeImages,
} from "./image-volumes.ts";
import { destroyProcesses, recordUnseenEnd, watchShim, type EndDeps } from "./end.ts";
import type { RemoveContainerDeps } from "./remove.ts";

/** What creating a container needs. */
export interface CreateContainerDeps extends EndDeps, RemoveContainerDeps {
  readonly inventory: Inventory;
  readonly specs: ContainerSpecs;
  readonly seccompFilters: SeccompFilters;
  readonly clock: Clock;
  readonly bootId: string;
  readonly overlay: { readonly volatile: boolean; readonly lowerdirPlus: boolean };
  readonly maxLogLineBytes: number;
  /** See `maxBytes` of the shim protocol. */
  readonly maxLogBytes: number;
}

/**
 * Makes a container whose process waits before its execve: record, writable layer, bundle, shim. Nobody has claimed it
 * yet. A failure anywhere undoes all of it, see {@link undoCreation}. Throws `not-found` for an absent
 * image, `failed-precondition` for a pod that is not ready.
 */
export async function createContainer(
  deps: CreateContainerDeps,
  pod: PodEntry,
  config: ContainerConfig,
  job: Job,
): Promise<ContainerEntry> {
  requireReady(pod);
  const image = deps.images.resolve(config.image);
  if (image === undefined) throw new RuntimeError("not-found", `image ${config.image} not found`);
  requireContainerImage(image, config);
  const volumes = findVolumeImages(deps.images, config);
  await using undo = new AsyncDisposableStack();
  const shim = deps.launcher.newShim({ signal: job.signal });
  undo.defer(() => shim.cancel());
  const user = await job.stage("user", () => deps.specs.resolveUser(image, config));
  const record = newRecord(deps, pod, config, image, user, volumes);
  const entry = await deps.inventory.addContainer(pod, record);
  undo.defer(() => undoCreation(deps, entry));

  // The cgroup, the folders and the spec are made at the same time.
  shim.prepare({ id: entry.id, cgroup: deps.cgroupOf(entry) });
  const layering = job.stage("writable layer", () => deps.images.prepare(entry.id, image, job.signal));
  const logFolder = record.logPath === "" ? undefined : mkdir(dirname(record.logPath), logFolderOptions);
  // Both are waited for below; until then nobody listens, and a failure must not end the daemon.
  const layered = layering.catch(() => undefined);
  logFolder?.catch(() => undefined);
  undo.defer(async () => {
    await shim.cancel();
    await layered;
  });

  const imageMounts = await holdVolumeImages(deps, entry.id, volumes, job.signal);
  const paths = deps.paths.container(entry.id);
  const { built, filter } = await job.stage("spec", async () => {
    const profiles = await deps.seccompFilters.profiles(config.security);
    const built = await deps.specs.build(pod.record, record, image, user, profiles, volumeImageIds(volumes));
    for (const warning of built.warnings) job.note(warning);
    const filter = await deps.seccompFilters.filter(built.spec.linux?.seccomp);
    writeBundle(paths, built.spec, filter);
    return { built, filter };
  });
  const layers = await layering;
  await logFolder;

  const { created, connection } = await job.stage("shim", async () => {
    const made = await shim.create(
      {
        bundle: paths.folder,
        rootfs: layers.kind === "overlay" ? { ...layers, ...deps.overlay } : layers,
        socket: paths.socket,
        exitRecord: paths.exitRecord,
        ...(record.logPath === ""
          ? {}
          : {
              log: {
                path: record.logPath,
                maxLineBytes: deps.maxLogLineBytes,
                maxBytes: deps.maxLogBytes,
              },
            }),
        stdin: config.stdin ? (config.stdinOnce ? "open-once" : "open") : "closed",
        ...(filter === undefined ? {} : { seccompFilter: filter }),
        imageVolumes: built.imageVolumes,
        createSources: built.createSources,
        ...(built.relabelSources.length === 0 ? {} : { relabelSources: built.relabelSources }),
        imageMounts,
      },
      { signal: job.signal },
    );
    for (const warning of made.created.warnings) job.note(warning);
    return made;
  });
  undo.defer(() => connection.delete().catch(() => undefined));

  // StopPodSandbox may have begun meanwhile: it waits for this work, and must not find a new container after it.
  requireReady(pod);
  // Who claims it writes this with its delivery; where nobody ever does, the next daemon undoes what it finds.
  await deps.inventory.showContainer(entry, () => ({ state: { state: "created", pid: created.pid } }));
  undo.move();
  watchShim(deps, entry, connection);
  return entry;
}

/**
 * Undoes a container that nobody was given the id of. Where a part fails it is listed as exited, so that its owner stops
 * and removes it.
 */
export async function undoCreation(
  deps: EndDeps & Pick<CreateContainerDeps, "images">,
  entry: ContainerEntry,
): Promise<void> {
  try {
    // First: while anything runs, its files and its record are what it is found by.
    await destroyProcesses(deps, entry);
    await deps.images.removeSnapshot(entry.id);
    await rm(deps.paths.container(entry.id).folder, { recursive: true, force: true });
  } catch (thrown) {
    await recordUnseenEnd(deps, entry, "its creation did not succeed, and could not be undone");
    await deps.inventory.updateContainer(entry, () => ({ delivery: "delivered" }));
    throw thrown;
  }
  await deps.inventory.removeContainer(entry);
}

const logFolderOptions = { recursive: true, mode: 0o755 } as const;

function requireReady(pod: PodEntry): void {
  const { state } = pod.record.state;
  if (state !== "ready") throw new RuntimeError("failed-precondition", `pod ${pod.id} is ${state}`);
}

function requireContainerImage({ artifactType }: Image, config: ContainerConfig): void {
  if (artifactType === undefined) return;
  throw new RuntimeError(
    "failed-precondition",
    `image ${config.image} is an artifact of type ${artifactType}: it can be mounted as a volume, not run`,
  );
}

function newRecord(
  deps: Pick<CreateContainerDeps, "clock" | "bootId">,
  pod: PodEntry,
  config: ContainerConfig,
  image: Image,
  user: Container["user"],
  volumes: VolumeImages,
): Container {
  const { logDirectory } = pod.record.config;
  return {
    id: newContainerId(),
    podId: pod.id,
    config,
    imageId: image.id,
    imageRef: image.repoDigests[0] ?? image.id,
    ...(volumes.size === 0 ? {} : { volumeImages: idsByPath(volumes) }),
    createdAt: deps.clock(),
    bootId: deps.bootId,
    logPath: config.logPath === "" || logDirectory === "" ? "" : join(logDirectory, config.logPath),
    user,
    stopSignal: effectiveStopSignal(config, image.process),
    resources: config.resources,
    delivery: "unclaimed",
    state: { state: "creating" },
  };
}
