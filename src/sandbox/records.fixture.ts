import type { Container, ContainerConfig } from "../core/container.ts";
import { newContainerId, newPodId, type PodId } from "../core/ids.ts";
import type { Pod, PodConfig } from "../core/pod.ts";
import type { SecurityContext } from "../core/security.ts";

const security: SecurityContext = {
  namespaces: { network: "pod", pid: "container", ipc: "pod", user: { mode: "node" } },
  privileged: false,
  readonlyRootfs: false,
  supplementalGroups: [],
  supplementalGroupsPolicy: "merge",
  seccomp: { kind: "unconfined" },
  apparmor: { kind: "unspecified" },
};

/** A pod's configuration with what a test cares about changed. */
export function podConfig(change: Partial<PodConfig> = {}): PodConfig {
  return {
    metadata: { name: "web", namespace: "shop", uid: "u-1", attempt: 0 },
    hostname: "web-0",
    logDirectory: "/var/log/pods/web",
    portMappings: [],
    labels: {},
    annotations: {},
    cgroupParent: "",
    sysctls: {},
    security,
    ...change,
  };
}

/** A ready pod's record. */
export function podRecord(change: Partial<Pod> = {}): Pod {
  return {
    id: newPodId(),
    config: podConfig(),
    runtimeHandler: "",
    createdAt: 1n,
    bootId: "boot",
    state: { state: "ready", network: { ips: ["10.0.0.2"] } },
    ...change,
  };
}

/** A running container's record. */
export function containerRecord(podId: PodId, change: Partial<Container> = {}): Container {
  const config: ContainerConfig = {
    metadata: { name: "app", attempt: 0 },
    image: "busybox",
    userSpecifiedImage: "",
    imageAnnotations: {},
    command: [],
    args: [],
    workingDir: "",
    envs: [],
    mounts: [],
    devices: [],
    cdiDevices: [],
    labels: {},
    annotations: {},
    logPath: "app.log",
    stdin: false,
    stdinOnce: false,
    tty: false,
    resources: {},
    security: {
      ...security,
      capabilities: { add: [], drop: [], addAmbient: [] },
      noNewPrivs: false,
      maskedPaths: [],
      readonlyPaths: [],
    },
  };
  return {
    id: newContainerId(),
    podId,
    config,
    imageId: "sha256:0",
    imageRef: "sha256:0",
    createdAt: 1n,
    bootId: "boot",
    logPath: "/var/log/pods/web/app.log",
    user: { uid: 0, gid: 0, supplementalGroups: [0] },
    stopSignal: "SIGTERM",
    resources: {},
    state: { state: "running", pid: 42, startedAt: 2n },
    ...change,
  };
}
