import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

const root = "/sys/fs/cgroup";

/** Counts the CPU time of all that runs in a world: its daemon, what that starts, and containers (cgroups(7)). */
export class CpuMeter {
  readonly #v1: string;
  readonly #v2: string;

  /** `parent` is the cgroup that all of it is below, whatever a part of it has moved to. */
  constructor(parent: string) {
    this.#v1 = join(root, "cpuacct", parent, "cpuacct.usage");
    this.#v2 = join(root, parent, "cpu.stat");
  }

  /** CPU time so far, in milliseconds. */
  async readMs(): Promise<number> {
    if (existsSync(this.#v1)) return Number(await readFile(this.#v1, "utf8")) / 1e6;
    const usage = /^usage_usec (\d+)$/m.exec(await readFile(this.#v2, "utf8"));
    if (usage === null) throw new Error(`${this.#v2} has no usage_usec`);
    return Number(usage[1]) / 1e3;
  }
}
