import assert from "node:assert/strict";
import { test } from "node:test";
import { fromObject } from "./message.fixture.ts";
import { hasCode } from "../../core/errors.ts";
import { containerConfigFromProto } from "./container.ts";
import { podConfigFromProto } from "./pod.ts";
import { resourcesFromProto } from "./resources.ts";

const metadata = { name: "web", namespace: "shop", uid: "u-1" };
const container = { metadata: { name: "c" }, image: { image: "busybox" } };

const pod = (change: object) => fromObject("PodSandboxConfig", { metadata, ...change });
const config = (change: object) => fromObject("ContainerConfig", { ...container, ...change });
const secured = (context: object) => config({ linux: { security_context: context } });

const refusals: readonly (readonly [string, () => unknown, RegExp])[] = [
  ["no pod config", () => podConfigFromProto(null), /^config: missing$/],
  [
    "no pod metadata",
    () => podConfigFromProto(fromObject("PodSandboxConfig", {})),
    /^config\.metadata: missing$/,
  ],
  [
    "no name",
    () => podConfigFromProto(pod({ metadata: { ...metadata, name: "" } })),
    /metadata\.name: empty/,
  ],
  [
    "a newline in a namespace",
    () => podConfigFromProto(pod({ metadata: { ...metadata, namespace: "a\nb" } })),
    /namespace: has a control character/,
  ],
  [
    "a relative log directory",
    () => podConfigFromProto(pod({ log_directory: "logs" })),
    /log_directory: not an absolute path/,
  ],
  [
    "a port above 65535",
    () => podConfigFromProto(pod({ port_mappings: [{ container_port: 80, host_port: 70000 }] })),
    /port_mappings\[0\]\.host_port: 70000/,
  ],
  [
    "a systemd slice",
    () => podConfigFromProto(pod({ linux: { cgroup_parent: "kubepods.slice" } })),
    /cgroup_parent: kubepods\.slice is a systemd slice/,
  ],
  [
    "a cgroup parent that leaves the root",
    () => podConfigFromProto(pod({ linux: { cgroup_parent: "/a/../../b" } })),
    /^config\.linux\.cgroup_parent: has a \.\.: "\/a\/\.\.\/\.\.\/b"$/,
  ],
  [
    "white space in a nameserver",
    () => podConfigFromProto(pod({ dns_config: { servers: ["1.1.1.1 x"] } })),
    /dns_config\.servers\[0\]/,
  ],
  [
    "network mode CONTAINER",
    () => podConfigFromProto(pod({ linux: { security_context: { namespace_options: { network: 1 } } } })),
    /namespace_options\.network/,
  ],
  [
    "two id mappings",
    () =>
      podConfigFromProto(
        pod({
          linux: {
            security_context: {
              namespace_options: {
                userns_options: { mode: 0, uids: [{ length: 1 }, { length: 1 }], gids: [{ length: 1 }] },
              },
            },
          },
        }),
      ),
    /uids: exactly one mapping/,
  ],
  ["no image", () => containerConfigFromProto(config({ image: null })), /config\.image: missing/],
  ["an empty image", () => containerConfigFromProto(config({ image: {} })), /config\.image\.image: empty/],
  [
    "a log path that leaves the directory",
    () => containerConfigFromProto(config({ log_path: "a/../../x" })),
    /log_path/,
  ],
  [
    "a mount over the root",
    () => containerConfigFromProto(config({ mounts: [{ container_path: "/a/..", host_path: "/x" }] })),
    /mounts\[0\]\.container_path: a mount over the root/,
  ],
  [
    "a mount without a host path",
    () => containerConfigFromProto(config({ mounts: [{ container_path: "/a" }] })),
    /mounts\[0\]\.host_path: empty/,
  ],
  [
    "an unknown propagation",
    () =>
      containerConfigFromProto(
        config({ mounts: [{ container_path: "/a", host_path: "/a", propagation: 9 }] }),
      ),
    /propagation: unknown value 9/,
  ],
  [
    "device permissions",
    () => containerConfigFromProto(config({ devices: [{ host_path: "/dev/null", permissions: "x" }] })),
    /devices\[0\]\.permissions/,
  ],
  [
    "an environment name with =",
    () => containerConfigFromProto(config({ envs: [{ key: "A=B" }] })),
    /envs\[0\]\.key/,
  ],
  [
    "a uid of 2^31",
    () => containerConfigFromProto(secured({ run_as_user: { value: 2 ** 31 } })),
    /run_as_user: 2147483648/,
  ],
  [
    "a negative gid",
    () => containerConfigFromProto(secured({ run_as_group: { value: -1 } })),
    /run_as_group: -1/,
  ],
  [
    "an unknown seccomp text",
    () => containerConfigFromProto(secured({ seccomp_profile_path: "magic" })),
    /seccomp_profile_path: unknown profile "magic"/,
  ],
  [
    "a relative localhost profile",
    () => containerConfigFromProto(secured({ seccomp: { profile_type: 2, localhost_ref: "p.json" } })),
    /seccomp\.localhost_ref/,
  ],
  [
    "pid mode TARGET without a target",
    () => containerConfigFromProto(secured({ namespace_options: { pid: 3 } })),
    /target_id: missing/,
  ],
  [
    "a wrong cpuset",
    () => resourcesFromProto("linux", fromObject("LinuxContainerResources", { cpuset_cpus: "a-b" })),
    /linux\.cpuset_cpus/,
  ],
  [
    "a unified key with a slash",
    () => resourcesFromProto("linux", fromObject("LinuxContainerResources", { unified: { "../x": "1" } })),
    /linux\.unified: not a cgroup file/,
  ],
];

for (const [name, read, expected] of refusals) {
  test(`convert: ${name} is refused by its field`, () => {
    assert.throws(read, (error) => hasCode(error, "invalid-argument") && expected.test(error.message));
  });
}

test("convert: a pod's words arrive", () => {
  const read = podConfigFromProto(
    pod({
      hostname: "web-0",
      log_directory: "/var/log//pods/web",
      labels: { a: "ü\n" },
      linux: { cgroup_parent: "/kubepods/burstable/x", sysctls: { "net.core.somaxconn": "1" } },
    }),
  );
  assert.equal(read.logDirectory, "/var/log/pods/web");
  assert.deepEqual(read.labels, { a: "ü\n" });
  assert.equal(read.cgroupParent, "/kubepods/burstable/x");
  assert.deepEqual(read.security.namespaces, {
    network: "pod",
    pid: "pod",
    ipc: "pod",
    user: { mode: "node" },
  });
});

test("convert: a container's words arrive, what is 0 or empty is not set", () => {
  const read = containerConfigFromProto(
    config({
      envs: [{ key: "A", value: Buffer.from("1=2") }],
      mounts: [{ container_path: "data/", host_path: "/srv", propagation: 2 }],
      stop_signal: 38,
      linux: { resources: { memory_limit_in_bytes: 1048576, cpu_quota: -1 } },
    }),
  );
  assert.deepEqual(read.envs, [{ key: "A", value: "1=2" }]);
  assert.equal(read.mounts[0]?.containerPath, "/data");
  assert.equal(read.mounts[0].propagation, "bidirectional");
  assert.equal(read.stopSignal, "SIGRTMIN+3");
  assert.deepEqual(read.resources, { memoryLimitBytes: 1048576n, cpuQuotaUs: -1n, oomScoreAdj: 0 });
  assert.deepEqual(read.security.seccomp, { kind: "unconfined" });
});

test("conversion: an AppArmor profile by name, with the prefix of the deprecated form or without", () => {
  const named = { kind: "localhost", ref: "mine" };
  for (const context of [
    { apparmor: { profile_type: 2, localhost_ref: "mine" } },
    { apparmor: { profile_type: 2, localhost_ref: "localhost/mine" } },
    { apparmor_profile: "localhost/mine" },
  ]) {
    assert.deepEqual(containerConfigFromProto(secured(context)).security.apparmor, named);
  }
  const empty = { apparmor: { profile_type: 2, localhost_ref: "localhost/" } };
  assert.throws(() => containerConfigFromProto(secured(empty)), { message: /apparmor\.localhost_ref/ });
});
