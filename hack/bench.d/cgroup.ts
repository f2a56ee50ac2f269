import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const root = "/sys/fs/cgroup";

/** Counts the CPU time of all that a runtime runs: its daemon, what that starts, and containers (cgroups(7)). */
export class CpuMeter {
  /** The leaf that the daemon is started in. */
  readonly daemonFolder: string;
  readonly #folders: readonly string[];

  /** The daemon's cgroup, which whoever starts it makes, is beside its pods', below their parent. */
  constructor(parent: string) {
    const unified = existsSync(join(root, "cgroup.controllers"));
    const hierarchy = unified ? root : join(root, "cpuacct");
    this.daemonFolder = join(hierarchy, parent, "daemon");
    // On v2 Berth's shims leave the daemon's cgroup for one that other daemons on the host share.
    const shims = join(root, "berth-shims");
    this.#folders = [join(hierarchy, parent), ...(unified ? [shims] : [])];
  }

  /** CPU time so far, in milliseconds. */
  async readMs(): Promise<number> {
    let total = 0;
    for (const folder of this.#folders) if (existsSync(folder)) total += await readFolder(folder);
    return total;
  }
}

async function readFolder(folder: string): Promise<number> {
  const v1 = join(folder, "cpuacct.usage");
  if (existsSync(v1)) return Number(await readFile(v1, "utf8")) / 1e6;
  const usage = /^usage_usec (\d+)$/m.exec(await readFile(join(folder, "cpu.stat"), "utf8"));
  if (usage === null) throw new Error(`${folder}/cpu.stat has no usage_usec`);
  return Number(usage[1]) / 1e3;
}
