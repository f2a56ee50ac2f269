import { readFile } from "node:fs/promises";
import type { PodNetworks } from "../cni/index.ts";
import type { Container } from "../core/container.ts";
import type { Pod } from "../core/pod.ts";
import type { LogLoss } from "./containers/log-loss.ts";
import type { StatePaths } from "./paths.ts";

/** What a person who debugs a pod or container wants to see, as JSON text. */
export class Inspection {
  readonly #paths: StatePaths;
  readonly #networks: Pick<PodNetworks, "networkStatus">;

  constructor(paths: StatePaths, networks: Pick<PodNetworks, "networkStatus">) {
    this.#paths = paths;
    this.#networks = networks;
  }

  /** A pod's namespaces, files and configuration. */
  pod(pod: Pod): string {
    const { network, ipc, uts, pid, user, folder } = this.#paths.pod(pod.id);
    return toJson({
      pid: pod.reaper?.pid ?? 0,
      state: pod.state,
      bootId: pod.bootId,
      folder,
      pins: { network, ipc, uts, pid, user },
      // As agents write it to the annotation k8s.v1.cni.cncf.io/network-status.
      networkStatus: this.#networks.networkStatus(pod.id),
      config: pod.config,
    });
  }

  /** A container's process, files, OCI spec and configuration; `loss` is what is missing in its log, where known. */
  async container(container: Container, loss: LogLoss | undefined): Promise<string> {
    const paths = this.#paths.container(container.id);
    const spec = await readFile(paths.spec, "utf8").catch(() => "null");
    const { state } = container;
    return toJson({
      sandboxID: container.podId,
      pid: "pid" in state ? state.pid : 0,
      state,
      bundle: paths.folder,
      shimSocket: paths.socket,
      log: { path: container.logPath, ...loss },
      runtimeSpec: JSON.parse(spec) as unknown,
      config: container.config,
    });
  }
}

function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "bigint" ? inner.toString() : inner,
  );
}
