import { readFile } from "node:fs/promises";
import type { PodNetworks } from "../cni/index.ts";
import type { Clock } from "../core/clock.ts";
import type { Container } from "../core/container.ts";
import type { Image } from "../core/image.ts";
import type { Pod } from "../core/pod.ts";
import type { ImageStore } from "../images/index.ts";
import type { JobJournal } from "../store/index.ts";
import type { LogLoss } from "./containers/log-loss.ts";
import type { Inventory } from "./inventory.ts";
import { jobsAbout, type JobSummary } from "./job-summaries.ts";
import { describeContainer, describePod } from "./names.ts";
import type { StatePaths } from "./paths.ts";
import { podCgroup } from "./pods/namespaces.ts";

/** Where things to look at come from. */
export interface InspectionDeps {
  readonly paths: StatePaths;
  readonly networks: Pick<PodNetworks, "networkStatus">;
  readonly images: Pick<ImageStore, "writableLayer" | "filesystemUsage">;
  readonly inventory: Inventory;
  readonly jobs: JobJournal;
  readonly clock: Clock;
  readonly cgroupOf: (entry: { readonly record: Container }) => string;
  /** Parent of the cgroups of pods that name none. */
  readonly cgroupParent: string;
}

/** What a person who debugs a pod, container or image wants to see, as JSON text. */
export class Inspection {
  readonly #deps: InspectionDeps;

  constructor(deps: InspectionDeps) {
    this.#deps = deps;
  }

  /** A pod's namespaces, files, jobs and configuration. */
  pod(pod: Pod): string {
    const { paths, networks, cgroupParent } = this.#deps;
    const { network, ipc, uts, pid, user, folder, hosts, hostname, resolvConf, shm } = paths.pod(pod.id);
    return toJson({
      pid: pod.reaper?.pid ?? 0,
      state: pod.state,
      delivery: pod.delivery ?? "delivered",
      bootId: pod.bootId,
      folder,
      files: { hosts, hostname, resolvConf, shm },
      cgroup: podCgroup(cgroupParent, pod),
      pins: { network, ipc, uts, pid, user },
      // As agents write it to the annotation k8s.v1.cni.cncf.io/network-status.
      networkStatus: networks.networkStatus(pod.id),
      jobs: this.#jobsAbout(pod.id, describePod(pod.config.metadata)),
      config: pod.config,
    });
  }

  /** A container's process, files, jobs, OCI spec and configuration; `loss` is what is missing in its log, where known. */
  async container(container: Container, loss: LogLoss | undefined): Promise<string> {
    const { paths, images, cgroupOf } = this.#deps;
    const { folder, spec, socket, exitRecord } = paths.container(container.id);
    const text = await readFile(spec, "utf8").catch(() => "null");
    const { state, podId, config } = container;
    return toJson({
      sandboxID: podId,
      pid: "pid" in state ? state.pid : 0,
      state,
      delivery: container.delivery ?? "delivered",
      bundle: folder,
      shimSocket: socket,
      exitRecord,
      writableLayer: images.writableLayer(container.id).folder,
      cgroup: cgroupOf({ record: container }),
      log: { path: container.logPath, ...loss },
      jobs: this.#jobsAbout(container.id, describeContainer(podId, config.metadata)),
      runtimeSpec: JSON.parse(text) as unknown,
      config,
    });
  }

  /** An image's parts, who uses it, and its jobs. */
  image(image: Image): string {
    const { images, inventory } = this.#deps;
    const users = [...inventory.containers()].filter(({ record }) => record.imageId === image.id);
    return toJson({
      ...image,
      store: images.filesystemUsage().mountpoint,
      containers: users.map(({ id }) => id),
      jobs: this.#jobsAbout(image.id, ...image.tags, ...image.repoDigests),
    });
  }

  #jobsAbout(...texts: readonly string[]): readonly JobSummary[] {
    return jobsAbout(this.#deps.jobs.list(), texts, this.#deps.clock());
  }
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "bigint" ? inner.toString() : inner,
  );
}
