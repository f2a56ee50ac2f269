import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Mount } from "../../src/cri/types/runtime/v1/Mount.ts";
import type { PodSandboxConfig } from "../../src/cri/types/runtime/v1/PodSandboxConfig.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers, type Leftovers } from "../harness/leftovers.ts";
import { type ContainerChange, TestPod } from "../harness/pod.ts";
import { makeTestImage, podConfig } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let pod: TestPod;
let clean: Leftovers;

/** gRPC's InvalidArgument. */
const invalid = 3;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  pod = bed.use(await TestPod.run(daemon));
  await world.file("array.json", "[]");
  await world.file("action.json", '{"defaultAction":"SCMP_ACT_JUMP","syscalls":[]}');
  clean = await leftovers(world);
});

after(() => bed.disposeAsync());

const ids = [
  ["2^31", "2147483648"],
  ["2^32, which is root where it is cut", "4294967296"],
  ["2^63-1", "9223372036854775807"],
  ["-1", "-1"],
] as const;

/** A number that an enum of the contract does not have. */
const unknownEnum = 77 as never;

const one = { container_id: 0, host_id: 200_000, length: 65_536 };
const two = { container_id: 65_536, host_id: 400_000, length: 1 };

const mapped = (userns_options: object): PodSandboxConfig => ({
  linux: { security_context: { namespace_options: { userns_options } } },
});

const sysctl = (name: string, value = "1"): PodSandboxConfig => ({ linux: { sysctls: { [name]: value } } });

const pods: readonly (readonly [what: string, change: PodSandboxConfig, message: RegExp])[] = [
  [
    "a namespace with a newline",
    { metadata: { name: "x", uid: "x", namespace: "a\nb" } },
    /config\.metadata\.namespace/,
  ],
  ["a uid with a newline", { metadata: { name: "x", uid: "a\nb", namespace: "x" } }, /config\.metadata\.uid/],
  ["a name with NUL", { metadata: { name: "a\0", uid: "x", namespace: "x" } }, /config\.metadata\.name/],
  ["a log directory with ..", { log_directory: "/var/log/../../etc" }, /config\.log_directory/],
  ["a log directory with NUL", { log_directory: "/var/log\0" }, /config\.log_directory/],
  ["a cgroup parent with ..", { linux: { cgroup_parent: "/a/../../b" } }, /config\.linux\.cgroup_parent/],
  ["a cgroup parent with a newline", { linux: { cgroup_parent: "/a\nb" } }, /config\.linux\.cgroup_parent/],
  [
    "an unknown protocol",
    { port_mappings: [{ protocol: unknownEnum, container_port: 1, host_port: 1 }] },
    /port_mappings\[0\]\.protocol/,
  ],
  [
    "a negative port",
    { port_mappings: [{ container_port: -1, host_port: 1 }] },
    /port_mappings\[0\]\.container_port/,
  ],
  [
    "a host address that is none",
    { port_mappings: [{ container_port: 1, host_port: 1, host_ip: "1.2.3.4.5" }] },
    /port_mappings\[0\]\.host_ip/,
  ],
  [
    "a DNS server that is no address",
    { dns_config: { servers: ["dns.example"] } },
    /dns_config\.servers\[0\]/,
  ],
  ["an unknown sysctl of the node", sysctl("kernel.no_such"), /linux\.sysctls\["kernel\.no_such"\]/],
  ["an unknown sysctl of the network", sysctl("net.ipv4.no_such"), /linux\.sysctls\["net\.ipv4\.no_such"\]/],
  [
    "a sysctl's impossible value",
    sysctl("net.ipv4.ip_default_ttl", "many"),
    /linux\.sysctls\["net\.ipv4\.ip_default_ttl"\]/,
  ],
  [
    "a sysctl with a newline",
    sysctl("net.ipv4.ip_forward", "1\n2"),
    /linux\.sysctls\["net\.ipv4\.ip_forward"\]/,
  ],
  [
    "an unknown namespace mode",
    { linux: { security_context: { namespace_options: { pid: unknownEnum } } } },
    /namespace_options\.pid/,
  ],
  ["two mappings of users", mapped({ mode: "POD", uids: [one, two], gids: [one] }), /userns_options\.uids/],
  ["two mappings of groups", mapped({ mode: "POD", uids: [one], gids: [one, two] }), /userns_options\.gids/],
  ["no mapping of groups", mapped({ mode: "POD", uids: [one] }), /userns_options\.gids/],
  [
    "a mapping of nobody",
    mapped({ mode: "POD", uids: [{ ...one, length: 0 }], gids: [one] }),
    /userns_options\.uids\[0\]\.length/,
  ],
  ["a mapping without id 0", mapped({ mode: "POD", uids: [two], gids: [two] }), /userns_options\.uids/],
  [
    "a mapping beyond 2^32",
    mapped({ mode: "POD", uids: [{ ...one, host_id: 4294967295 }], gids: [one] }),
    /userns_options\.uids\[0\]/,
  ],
  [
    "a mode of users that no pod has",
    mapped({ mode: "TARGET", uids: [one], gids: [one] }),
    /userns_options\.mode/,
  ],
  ["mappings of the node's users", mapped({ mode: "NODE", uids: [one], gids: [one] }), /userns_options/],
  [
    "an unknown seccomp kind",
    { linux: { security_context: { seccomp: { profile_type: unknownEnum } } } },
    /seccomp\.profile_type/,
  ],
  [
    "a memory limit below 0",
    { linux: { resources: { memory_limit_in_bytes: "-1" } } },
    /resources\.memory_limit_in_bytes/,
  ],
  ...ids.map(
    ([what, value]) =>
      [
        `user ${what}`,
        { linux: { security_context: { run_as_user: { value } } } },
        /security_context\.run_as_user/,
      ] as const,
  ),
];

for (const [what, change, message] of pods) {
  test(`bad fields: a pod with ${what} is refused`, async () => {
    const config = podConfig(daemon, change);
    await assert.rejects(daemon.runtime.RunPodSandbox({ config }), { code: invalid, details: message });
  });
}

const volume = (change: Mount): ContainerChange => ({
  mounts: [{ container_path: "/m", host_path: world.folder, ...change }],
});

const containers: readonly (readonly [what: string, change: () => ContainerChange, message: RegExp])[] = [
  ...ids.flatMap(([what, value]) => [
    [
      `user ${what}`,
      () => ({ security: { run_as_user: { value } } }),
      /security_context\.run_as_user/,
    ] as const,
    [
      `group ${what}`,
      () => ({ security: { run_as_user: { value: 1 }, run_as_group: { value } } }),
      /security_context\.run_as_group/,
    ] as const,
    [
      `supplemental group ${what}`,
      () => ({ security: { supplemental_groups: ["5", value] } }),
      /security_context\.supplemental_groups\[1\]/,
    ] as const,
  ]),
  ["a name with a newline", () => ({ metadata: { name: "a\nb" } }), /config\.metadata\.name/],
  ["an image with a newline", () => ({ image: { image: "a\nb" } }), /config\.image\.image/],
  ["a user's name with a newline", () => ({ security: { run_as_username: "root\nx" } }), /run_as_username/],
  ["a user's name with a colon", () => ({ security: { run_as_username: "0:0" } }), /run_as_username/],
  [
    "a user's name that is a number too large",
    () => ({ security: { run_as_username: "4294967296" } }),
    /run_as_username/,
  ],
  [
    "an unknown policy of groups",
    () => ({ security: { supplemental_groups_policy: unknownEnum } }),
    /supplemental_groups_policy/,
  ],
  [
    "an unknown capability to add",
    () => ({ security: { capabilities: { add_capabilities: ["SYS_NOTHING"] } } }),
    /add_capabilities.*SYS_NOTHING/,
  ],
  [
    "an unknown capability to drop",
    () => ({ security: { capabilities: { drop_capabilities: ["CAP_"] } } }),
    /drop_capabilities.*CAP_/,
  ],
  [
    "an unknown ambient capability",
    () => ({ security: { capabilities: { add_ambient_capabilities: ["CHOWN\n"] } } }),
    /add_ambient_capabilities/,
  ],
  [
    "an unknown seccomp kind",
    () => ({ security: { seccomp: { profile_type: unknownEnum } } }),
    /seccomp\.profile_type/,
  ],
  [
    "a seccomp profile without its path",
    () => ({ security: { seccomp: { profile_type: "Localhost" } } }),
    /seccomp\.localhost_ref/,
  ],
  ["a seccomp profile with ..", () => seccomp("/var/lib/../x.json"), /seccomp\.localhost_ref/],
  ["a seccomp profile that does not exist", () => seccomp("/no/such.json"), /seccomp.*\/no\/such\.json/],
  ["a seccomp profile that is a folder", () => seccomp(world.folder), /seccomp.*/],
  ["a seccomp profile that is a device", () => seccomp("/dev/zero"), /seccomp.*\/dev\/zero/],
  ["a seccomp profile that is no JSON", () => seccomp("/etc/hostname"), /seccomp.*\/etc\/hostname/],
  [
    "a seccomp profile of another shape",
    () => seccomp(join(world.folder, "array.json")),
    /seccomp.*array\.json/,
  ],
  [
    "a seccomp profile of an unknown action",
    () => seccomp(join(world.folder, "action.json")),
    /seccomp.*action\.json.*SCMP_ACT_JUMP/,
  ],
  [
    "a deprecated seccomp path of no kind",
    () => ({ security: { seccomp_profile_path: "nonsense" } }),
    /seccomp_profile_path/,
  ],
  [
    "an AppArmor profile without a name",
    () => ({ security: { apparmor: { profile_type: "Localhost" } } }),
    /apparmor\.localhost_ref/,
  ],
  ["an AppArmor profile with a newline", () => apparmor("a\nb"), /apparmor\.localhost_ref/],
  [
    "an SELinux level with a newline",
    () => ({ security: { selinux_options: { level: "s0\n" } } }),
    /selinux_options\.level/,
  ],
  [
    "an SELinux type that is a whole label",
    () => ({ security: { selinux_options: { type: "a:b:c" } } }),
    /selinux_options\.type/,
  ],
  ["a masked path that is relative", () => ({ security: { masked_paths: ["proc"] } }), /masked_paths\[0\]/],
  ["a masked path with ..", () => ({ security: { masked_paths: ["/proc/../etc"] } }), /masked_paths\[0\]/],
  ["a masked path with NUL", () => ({ security: { masked_paths: ["/proc\0"] } }), /masked_paths\[0\]/],
  [
    "a read-only path with ..",
    () => ({ security: { readonly_paths: ["/a", "/proc/../etc"] } }),
    /readonly_paths\[1\]/,
  ],
  [
    "a namespace mode that is none",
    () => ({ security: { namespace_options: { pid: unknownEnum } } }),
    /namespace_options\.pid/,
  ],
  [
    "a target without its id",
    () => ({ security: { namespace_options: { pid: "TARGET" } } }),
    /namespace_options\.target_id/,
  ],
  [
    "users that are mapped where its pod's are not",
    () => ({
      security: {
        namespace_options: { pid: "CONTAINER", userns_options: { mode: "POD", uids: [one], gids: [one] } },
      },
    }),
    /namespace_options\.userns_options/,
  ],
  [
    "the node's network in a pod with its own",
    () => ({ security: { namespace_options: { network: "NODE", pid: "CONTAINER" } } }),
    /namespace_options\.network/,
  ],
  [
    "the node's IPC in a pod with its own",
    () => ({ security: { namespace_options: { ipc: "NODE", pid: "CONTAINER" } } }),
    /namespace_options\.ipc/,
  ],
  [
    "the node's processes in a pod with its own",
    () => ({ security: { namespace_options: { pid: "NODE" } } }),
    /namespace_options\.pid/,
  ],
  ["a host path with ..", () => volume({ host_path: `${world.folder}/../etc` }), /mounts\[0\]\.host_path/],
  ["a host path with NUL", () => volume({ host_path: "/etc\0" }), /mounts\[0\]\.host_path/],
  ["a container path with NUL", () => volume({ container_path: "/m\0" }), /mounts\[0\]\.container_path/],
  ["an unknown propagation", () => volume({ propagation: unknownEnum }), /mounts\[0\]\.propagation/],
  ["a mount whose users alone are mapped", () => volume({ uidMappings: [one] }), /mount.*[gu]idMappings/],
  [
    "a mount with a mapping of nobody",
    () => volume({ uidMappings: [{ ...one, length: 0 }], gidMappings: [one] }),
    /mounts\[0\]\.uidMappings\[0\]\.length/,
  ],
  [
    "a mount with two mappings that overlap",
    () => volume({ uidMappings: [one, one], gidMappings: [one] }),
    /mounts\[0\]\.uidMappings/,
  ],
  [
    "a mount with a mapping beyond 2^32",
    () => volume({ uidMappings: [{ ...one, host_id: 4294967295 }], gidMappings: [one] }),
    /mounts\[0\]\.uidMappings\[0\]/,
  ],
  [
    "an idmapped mount of a file system that can't",
    () => volume({ host_path: "/sys/kernel", uidMappings: [one], gidMappings: [one] }),
    /mount \/m.*\/sys\/kernel.*sysfs/,
  ],
  ["a device with ..", () => device("/dev/../etc/passwd"), /devices\[0\]\.host_path/],
  ["a device that is none", () => device("/etc/passwd"), /\/etc\/passwd/],
  ["a device that is relative", () => device("dev/null"), /devices\[0\]\.host_path/],
  [
    "a CDI device whose name is a path",
    () => ({ CDI_devices: [{ name: "../../etc/passwd" }] }),
    /CDI_devices\[0\]/,
  ],
  [
    "huge pages of no size",
    () => resources({ hugepage_limits: [{ page_size: "2 MB", limit: "1" }] }),
    /hugepage_limits\[0\]\.page_size/,
  ],
  ["shares below 0", () => resources({ cpu_shares: "-1" }), /cpu_shares/],
  ["shares of one", () => resources({ cpu_shares: "1" }), /cpu_shares/],
  ["a period of a minute", () => resources({ cpu_period: "60000000" }), /cpu_period/],
  ["a quota below -1", () => resources({ cpu_quota: "-2" }), /cpu_quota/],
  [
    "a swap limit below its memory's",
    () => resources({ memory_limit_in_bytes: "1000000", memory_swap_limit_in_bytes: "5" }),
    /memory_swap_limit_in_bytes/,
  ],
  ["CPUs with a newline", () => resources({ cpuset_cpus: "0\n1" }), /cpuset_cpus/],
  ["an unknown signal", () => ({ stop_signal: 300 as never }), /stop_signal/],
  ["a log path with ..", () => ({ log_path: "a/../../b" }), /log_path/],
  ["a log path with a newline", () => ({ log_path: "a\nb" }), /log_path/],
  ["a working folder with NUL", () => ({ working_dir: "/a\0" }), /working_dir/],
  [
    "a variable whose name has a newline",
    () => ({ envs: [{ key: "A\0", value: Buffer.from("") }] }),
    /envs\[0\]/,
  ],
];

function seccomp(localhost_ref: string): ContainerChange {
  return { security: { seccomp: { profile_type: "Localhost", localhost_ref } } };
}

function apparmor(localhost_ref: string): ContainerChange {
  return { security: { apparmor: { profile_type: "Localhost", localhost_ref } } };
}

function device(host_path: string): ContainerChange {
  return { devices: [{ host_path, container_path: "/dev/x", permissions: "rwm" }] };
}

function resources(change: object): ContainerChange {
  return { linux: { resources: change, security_context: { namespace_options: { pid: "CONTAINER" } } } };
}

for (const [what, change, message] of containers) {
  test(`bad fields: a container with ${what} is refused`, async () => {
    await assert.rejects(pod.create("true", change()), { code: invalid, details: message });
  });
}

test("bad fields: nothing is left of all this", async () => {
  assert.deepEqual(await leftovers(world), clean);
  assert.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
  assert.equal((await daemon.runtime.ListPodSandbox({})).items.length, 1);
});
