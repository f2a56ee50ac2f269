import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const cgroupRoot = "/sys/fs/cgroup";

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
