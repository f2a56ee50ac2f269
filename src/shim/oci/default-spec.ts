import type { Spec, SpecNamespace } from "../../core/oci-runtime-spec.ts";
import type { Hierarchies } from "../program/cgroup/index.ts";
import { isPureV2 } from "../program/cgroup/index.ts";

/** The version of the runtime spec that this program follows. */
export const ociVersion = "1.2.0";

const defaultCapabilities: readonly string[] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/** What `spec` writes: a shell on a terminal in the folder `rootfs`, with few rights and no network. */
export function defaultSpec(hierarchies: Hierarchies): Spec {
  // A cgroup namespace on unified hosts alone, as other runtimes write it.
  return isPureV2(hierarchies) ? withNamespace({ type: "cgroup" }) : plainSpec;
}

function withNamespace(more: SpecNamespace): Spec {
  const { linux = {} } = plainSpec;
  return { ...plainSpec, linux: { ...linux, namespaces: [...(linux.namespaces ?? []), more] } };
}

const plainSpec: Spec = {
  ociVersion,
  process: {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ["sh"],
    env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: {
      bounding: defaultCapabilities,
      effective: defaultCapabilities,
      permitted: defaultCapabilities,
    },
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  },
  root: { path: "rootfs", readonly: true },
  hostname: "berth",
  mounts: [
    { destination: "/proc", type: "proc", source: "proc" },
    {
      destination: "/dev",
      type: "tmpfs",
      source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
    },
    {
      destination: "/dev/pts",
      type: "devpts",
      source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    },
    {
      destination: "/dev/shm",
      type: "tmpfs",
      source: "shm",
      options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
    },
    {
      destination: "/dev/mqueue",
      type: "mqueue",
      source: "mqueue",
      options: ["nosuid", "noexec", "nodev"],
    },
    { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
    {
      destination: "/sys/fs/cgroup",
      type: "cgroup",
      source: "cgroup",
      options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
    },
  ],
  linux: {
    resources: { devices: [{ allow: false, access: "rwm" }] },
    namespaces: [{ type: "pid" }, { type: "network" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }],
    maskedPaths: [
      "/proc/acpi",
      "/proc/asound",
      "/proc/kcore",
      "/proc/keys",
      "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats",
      "/proc/sched_debug",
      "/sys/firmware",
      "/sys/devices/virtual/powercap",
      "/proc/interrupts",
      "/proc/scsi",
    ],
    readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
  },
};

/** Fields that a reader wants to see first. */
export const fieldOrder: readonly string[] = [
  "ociVersion",
  "process",
  "root",
  "hostname",
  "mounts",
  "terminal",
  "user",
  "args",
  "env",
  "cwd",
  "destination",
  "type",
  "source",
  "options",
];
