import { accessSync, constants, existsSync } from "node:fs";
import {
  acceptsMountOption,
  capget,
  hasSystemCall,
  isAtLeast,
  kernelVersion,
  probedCalls,
  SharedLibrary,
} from "../sys/index.ts";

/** One thing that was looked at when the daemon started. */
export interface HostCheck {
  readonly name: string;
  readonly ok: boolean;
  /** What was seen. */
  readonly detail: string;
  /** What is used instead where it is not there; null where nothing can be, and the daemon does not start. */
  readonly fallback: string | null;
}

/** What was found, check by check, and the answers that other code needs. */
export interface HostChecks {
  readonly checks: readonly HostCheck[];
  readonly overlayVolatile: boolean;
  readonly overlayLowerdirPlus: boolean;
}

/** mount_setattr(2) is the newest call without a replacement here. */
const minKernel = { major: 5, minor: 12 };

const capabilityNeeded = 21; // CAP_SYS_ADMIN
const capabilityResource = 24; // CAP_SYS_RESOURCE

/** Looks at what pods and containers need of this host. Nothing is changed. */
export function checkHost(luajit: string): HostChecks {
  const version = kernelVersion();
  const overlayVolatile = acceptsMountOption("overlay", "volatile");
  const overlayLowerdirPlus = acceptsMountOption("overlay", "lowerdir+", "/");
  const effective = capget().effective;
  const has = (capability: number): boolean => ((effective >> BigInt(capability)) & 1n) === 1n;
  const needed = (name: string, ok: boolean, detail: string): HostCheck => ({
    name,
    ok,
    detail,
    fallback: null,
  });
  const better = (name: string, ok: boolean, detail: string, fallback: string): HostCheck => ({
    name,
    ok,
    detail,
    fallback,
  });
  const checks = [
    needed(
      "kernel version",
      isAtLeast(version, minKernel.major, minKernel.minor),
      `${version.release}, at least ${minKernel.major}.${minKernel.minor} is needed`,
    ),
    ...probedCalls.map((call) => needed(call, hasSystemCall(call), "system call")),
    needed("CAP_SYS_ADMIN", has(capabilityNeeded), "capability of the daemon"),
    better(
      "CAP_SYS_RESOURCE",
      has(capabilityResource),
      "capability of the daemon",
      "a lower oom_score_adj and higher hard limits are left as they are, with a warning",
    ),
    needed("luajit", isExecutable(luajit), `${luajit} (Debian package luajit)`),
    needed(
      "libseccomp",
      canLoad("libseccomp.so.2", "libseccomp2"),
      "libseccomp.so.2 (Debian package libseccomp2)",
    ),
    better(
      "overlay lowerdir+",
      overlayLowerdirPlus,
      "mount option of Linux 6.8",
      "mount(2) with short relative names",
    ),
    better(
      "overlay volatile",
      overlayVolatile,
      "mount option of Linux 5.10",
      "ending a container waits for a sync of the whole file system",
    ),
    needed("cgroups", existsSync("/sys/fs/cgroup"), cgroupDescription()),
    better(
      "cgroup.kill",
      hasCgroupKill(),
      "cgroup v2 file of Linux 5.14",
      "the freezer, and signals one by one",
    ),
    better("nft", isExecutable("/usr/sbin/nft"), "/usr/sbin/nft (Debian package nftables)", "no ipMasq"),
    needed("seccomp", existsSync("/proc/sys/kernel/seccomp/actions_avail"), "kernel support"),
  ];
  return { checks, overlayVolatile, overlayLowerdirPlus };
}

/** The checks without which no pod can run. */
export function missingNecessities(checks: readonly HostCheck[]): readonly HostCheck[] {
  return checks.filter((check) => !check.ok && check.fallback === null);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function canLoad(soname: string, debianPackage: string): boolean {
  try {
    new SharedLibrary(soname, debianPackage).open();
    return true;
  } catch {
    return false;
  }
}

function cgroupDescription(): string {
  if (existsSync("/sys/fs/cgroup/cgroup.controllers")) return "unified hierarchy (v2)";
  return existsSync("/sys/fs/cgroup/unified")
    ? "hybrid: controllers of v1, a v2 hierarchy beside them"
    : "v1";
}

function hasCgroupKill(): boolean {
  const unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].some((root) =>
    existsSync(`${root}/cgroup.controllers`),
  );
  return unified && isAtLeast(kernelVersion(), 5, 14);
}
