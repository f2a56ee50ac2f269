import { existsSync, readFileSync } from "node:fs";
import { arch, hostname } from "node:os";
import { RuntimeError } from "../core/errors.ts";
import { capabilityNames, type CgroupFacts, type HostFacts, type LsmFacts } from "../oci/index.ts";
import { kernelVersion, readBoundingSet } from "../sys/index.ts";
import { loadDefaultProfile } from "./apparmor.ts";

/** The kernel's id of this boot (random(4)). */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** What is true of this host for all containers, found out once at start; the default AppArmor profile is loaded. */
export async function readHostFacts(environment: NodeJS.ProcessEnv): Promise<HostFacts> {
  const machine = arch();
  if (machine !== "x64" && machine !== "arm64") {
    throw new RuntimeError("failed-precondition", `this machine is ${machine}; x64 and arm64 are supported`);
  }
  const { major, minor } = kernelVersion();
  return {
    hostname: hostname(),
    capabilities: capabilityNames(readBoundingSet()),
    cgroups: readCgroupFacts(),
    cgroupMountOptions: readCgroupMountOptions(),
    lsm: await readLsmFacts(environment),
    seccomp: {
      supported: existsSync("/proc/sys/kernel/seccomp/actions_avail"),
      arch: machine,
      kernel: { major, minor },
    },
  };
}

function readCgroupFacts(): CgroupFacts {
  const root = "/sys/fs/cgroup";
  if (existsSync(`${root}/cgroup.controllers`)) {
    const controllers = readFileSync(`${root}/cgroup.controllers`, "utf8").trim().split(" ");
    return { version: 2, swap: existsSync("/proc/swaps"), hugetlb: controllers.includes("hugetlb") };
  }
  return {
    version: 1,
    swap: existsSync(`${root}/memory/memory.memsw.limit_in_bytes`),
    hugetlb: existsSync(`${root}/hugetlb`),
  };
}

/** Options that a second mount of the same cgroup2 instance would reset. */
function readCgroupMountOptions(): readonly string[] {
  const line = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .find((mount) => mount.split(" ")[2] === "cgroup2");
  const options = line?.split(" ")[3]?.split(",") ?? [];
  return options.filter((option) => ["nsdelegate", "memory_recursiveprot"].includes(option));
}

async function readLsmFacts(environment: NodeJS.ProcessEnv): Promise<LsmFacts> {
  const parameter = "/sys/module/apparmor/parameters/enabled";
  const apparmor = existsSync(parameter) && readFileSync(parameter, "utf8").startsWith("Y");
  return {
    apparmor,
    ...(apparmor ? await loadDefaultProfile(environment) : {}),
    selinux: existsSync("/sys/fs/selinux/enforce"),
  };
}
