import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerConfig, ContainerMount } from "../core/container.ts";
import { hasCode } from "../core/errors.ts";
import type { PodId } from "../core/ids.ts";
import type { ImageProcess } from "../core/image.ts";
import type { Spec } from "../core/oci-runtime-spec.ts";
import type { Pod, PodConfig } from "../core/pod.ts";
import type { ContainerSecurityContext } from "../core/security.ts";
import { buildContainerSpec, type ContainerSpecInput, imageVolumePaths } from "./container-spec.ts";
import { buildExecProcess } from "./exec-process.ts";
import { defaultProfile } from "./seccomp/index.ts";

const image: ImageProcess = {
  entrypoint: ["/bin/server"],
  cmd: ["--port=80"],
  env: ["LANG=C.UTF-8"],
  workingDir: "/srv",
  user: "www",
  volumes: [],
  stopSignal: "",
};

const security: ContainerSecurityContext = {
  namespaces: { network: "pod", pid: "container", ipc: "pod", user: { mode: "node" } },
  privileged: false,
  readonlyRootfs: false,
  supplementalGroups: [],
  supplementalGroupsPolicy: "merge",
  seccomp: { kind: "unconfined" },
  apparmor: { kind: "unspecified" },
  capabilities: { add: [], drop: ["ALL"], addAmbient: [] },
  noNewPrivs: true,
  maskedPaths: ["/proc/kcore"],
  readonlyPaths: ["/proc/sys"],
};

const config: ContainerConfig = {
  metadata: { name: "web", attempt: 0 },
  image: "sha256:aa",
  userSpecifiedImage: "web:1",
  imageAnnotations: {},
  command: [],
  args: [],
  workingDir: "",
  envs: [],
  mounts: [],
  devices: [],
  cdiDevices: [],
  labels: {},
  annotations: { "io.kubernetes.cri.container-type": "sandbox" },
  logPath: "",
  stdin: false,
  stdinOnce: false,
  tty: false,
  resources: { memoryLimitBytes: 1_048_576n, oomScoreAdj: 900 },
  security,
};

const podConfig = {
  metadata: { name: "web-0", namespace: "shop", uid: "u-1", attempt: 0 },
  hostname: "web-0",
  security: { ...security },
} as unknown as PodConfig;

const input: ContainerSpecInput = {
  pod: { id: "p1" as PodId, config: podConfig } as unknown as Pod,
  config,
  image,
  imageName: "web:1",
  user: { uid: 33, gid: 34, supplementalGroups: [29, 34], home: "/var/www" },
  devices: [],
  hostDevices: [
    { hostPath: "/dev/kvm", type: "c", major: 10, minor: 232, fileMode: 0o660, uid: 0, gid: 104 },
  ],
  files: { hosts: "/p/hosts" },
  pins: { network: "/n/net", ipc: "/n/ipc", uts: "/n/uts" },
  imageIds: new Map(),
  cgroupsPath: "/kubepods/pod1/c1",
  profiles: { runtimeDefault: defaultProfile },
  host: {
    hostname: "node-1",
    capabilities: ["CAP_CHOWN", "CAP_SYS_ADMIN"],
    cgroups: { version: 2, swap: true, hugetlb: true },
    cgroupMountOptions: ["nsdelegate"],
    lsm: { apparmor: false, selinux: false },
    seccomp: { supported: true, arch: "x64", kernel: { major: 6, minor: 1 } },
  },
};

interface Change {
  readonly config?: Partial<ContainerConfig>;
  readonly security?: Partial<ContainerSecurityContext>;
  readonly pod?: Partial<PodConfig>;
}

function build(change: Change = {}): Spec {
  return buildContainerSpec({
    ...input,
    pod: { ...input.pod, config: { ...podConfig, ...change.pod } },
    config: { ...config, ...change.config, security: { ...security, ...change.security } },
  });
}

test("container spec: whole, but for mounts and device rules", () => {
  const { mounts, linux, ...rest } = build();
  assert.deepEqual(rest, {
    ociVersion: "1.2.0",
    root: { path: "rootfs", readonly: false },
    process: {
      user: { uid: 33, gid: 34, additionalGids: [29, 34] },
      args: ["/bin/server", "--port=80"],
      env: [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOSTNAME=web-0",
        "LANG=C.UTF-8",
        "HOME=/var/www",
      ],
      cwd: "/srv",
      capabilities: { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] },
      noNewPrivileges: true,
      oomScoreAdj: 900,
    },
    annotations: {
      "io.kubernetes.cri.container-type": "container",
      "io.kubernetes.cri.container-name": "web",
      "io.kubernetes.cri.image-name": "web:1",
      "io.kubernetes.cri.sandbox-id": "p1",
      "io.kubernetes.cri.sandbox-name": "web-0",
      "io.kubernetes.cri.sandbox-namespace": "shop",
      "io.kubernetes.cri.sandbox-uid": "u-1",
    },
  });
  assert.equal(mounts?.length, 7);
  const { devices: _rules, ...limits } = linux?.resources ?? {};
  assert.deepEqual(
    { ...linux, resources: limits },
    {
      namespaces: [
        { type: "mount" },
        { type: "network", path: "/n/net" },
        { type: "ipc", path: "/n/ipc" },
        { type: "uts", path: "/n/uts" },
        { type: "pid" },
        { type: "cgroup" },
      ],
      cgroupsPath: "/kubepods/pod1/c1",
      resources: { memory: { limit: 1_048_576, swap: 1_048_576 } },
      maskedPaths: ["/proc/kcore"],
      readonlyPaths: ["/proc/sys"],
    },
  );
});

test("container spec: privileged", () => {
  const privileged = { privileged: true, seccomp: { kind: "runtime-default" } } as const;
  const spec = build({ security: privileged, pod: { security: { ...security, privileged: true } } });
  assert.deepEqual(
    spec.process?.capabilities?.bounding,
    ["CAP_CHOWN", "CAP_SYS_ADMIN"],
    "bounded to the host's",
  );
  assert.deepEqual(
    [spec.linux?.seccomp, spec.linux?.maskedPaths, spec.linux?.readonlyPaths],
    [undefined, [], []],
  );
  assert.deepEqual(
    spec.linux?.devices?.map(({ path }) => path),
    ["/dev/kvm"],
  );
  assert.deepEqual(spec.linux.resources?.devices, [{ allow: true, access: "rwm" }]);
  const options = spec.mounts?.find(({ destination }) => destination === "/sys/fs/cgroup")?.options;
  assert.deepEqual(options?.slice(-2), ["rw", "nsdelegate"]);
});

test("container spec: privileged only in a privileged pod", () => {
  assert.throws(
    () => build({ security: { privileged: true } }),
    (error) => hasCode(error, "invalid-argument") && error.message.includes("p1"),
  );
});

test("container spec: tty, read-only root, seccomp by capability", () => {
  const spec = build({
    config: { tty: true },
    security: {
      readonlyRootfs: true,
      seccomp: { kind: "runtime-default" },
      capabilities: { add: ["SYS_ADMIN"], drop: [], addAmbient: [] },
    },
  });
  assert.equal(spec.root?.readonly, true);
  assert.equal(spec.process?.terminal, true);
  assert.ok(spec.process.env?.includes("TERM=xterm"));
  const mountRule = spec.linux?.seccomp?.syscalls?.find(({ names }) => names.includes("mount"));
  assert.equal(mountRule?.action, "SCMP_ACT_ALLOW");
});

test("container spec: a user namespace is joined, its mappings are there for the root", () => {
  const user = {
    mode: "pod",
    uids: [{ containerId: 0, hostId: 7, length: 9 }],
    gids: [{ containerId: 0, hostId: 7, length: 9 }],
  } as const;
  const namespaces = { ...security.namespaces, user };
  const change = { security: { namespaces }, pod: { security: { ...security, namespaces } } };
  assert.throws(() => build(change), /no user namespace pinned/);
  const spec = buildContainerSpec({
    ...input,
    pins: { ...input.pins, user: "/n/user" },
    pod: { ...input.pod, config: { ...podConfig, security: { ...security, namespaces } } },
    config: { ...config, security: { ...security, namespaces } },
  });
  assert.deepEqual(spec.linux?.namespaces?.[1], { type: "user", path: "/n/user" });
  assert.deepEqual(spec.linux.uidMappings, [{ containerID: 0, hostID: 7, size: 9 }]);
});

test("container spec: the host's name where the pod has none", () => {
  assert.ok(build({ pod: { hostname: "" } }).process?.env?.includes("HOSTNAME=node-1"));
});

test("container spec: built from immutable values (cve-2021-21334)", () => {
  const freeze = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    Object.values(Object.freeze(value)).forEach(freeze);
  };
  freeze(input.config);
  freeze(image);
  const first = build({ config: { envs: [{ key: "SECRET", value: "1" }] } });
  assert.ok(first.process?.env?.includes("SECRET=1"));
  assert.ok(!build().process?.env?.includes("SECRET=1"));
});

test("container spec: image volumes (cve-2022-23648)", () => {
  const volumes = ["/data", "cache/", "/../../etc/x", "/data/", "", "/", "/proc/x", "/dev", "/devices"];
  const mounts = [{ containerPath: "/cache" } as unknown as ContainerMount];
  assert.deepEqual(imageVolumePaths({ ...image, volumes }, { ...config, mounts }), [
    "/data",
    "/devices",
    "/etc/x",
  ]);
});

test("exec process: the container's, with its own command", () => {
  const { process } = build({ config: { tty: true } });
  assert.ok(process !== undefined);
  const { terminal: _terminal, args: _args, ...same } = process;
  assert.deepEqual(buildExecProcess(process, { args: ["id"], tty: false }), { ...same, args: ["id"] });
  const { process: plain } = build();
  assert.ok(plain !== undefined);
  const withTty = buildExecProcess(plain, { args: ["sh"], tty: true });
  assert.equal(withTty.terminal, true);
  assert.deepEqual(withTty.env, [...(plain.env ?? []), "TERM=xterm"]);
  assert.throws(
    () => buildExecProcess(plain, { args: [], tty: false }),
    (error) => hasCode(error, "invalid-argument"),
  );
});
