import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const cgroupRoot = "/sys/fs/cgroup";

/** True where cgroup v2 is all there is. */
export const isUnified = existsSync(join(cgroupRoot, "cgroup.controllers"));

/** Where the v2 hierarchy is mounted, alone or beside v1. */
export const unifiedRoot = isUnified ? cgroupRoot : join(cgroupRoot, "unified");

/** Path of a container's cgroup file: the v1 one's hierarchy and name, or the v2 one's name. */
export function cgroupFile(id: string, v1: string, v1File: string, v2File: string): string {
  return isUnified
    ? join(cgroupRoot, "berth-test", id, v2File)
    : join(cgroupRoot, v1, "berth-test", id, v1File);
}

/** The container's cgroups that still exist, in any hierarchy. */
export function cgroupsLeft(id: string): string[] {
  return [cgroupRoot, ...readdirSync(cgroupRoot).map((name) => join(cgroupRoot, name))]
    .map((folder) => join(folder, "berth-test", id))
    .filter((folder) => existsSync(folder));
}

/** Waits for something to come true, and says what did not. */
export async function until(holds: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await sleep(5);
  }
}

/** True while the process runs; one that has ended and that nobody has reaped yet does not. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2)[0] !== "Z";
  } catch {
    return false;
  }
}
