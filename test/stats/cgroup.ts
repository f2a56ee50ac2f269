import { existsSync } from "node:fs";
import type { TestDaemon } from "../harness/daemon.ts";

const root = "/sys/fs/cgroup";

/** True where the controllers are v2's. */
export const isV2 = existsSync(`${root}/cgroup.controllers`);

/** The cgroup of a pod or container, read as the daemon's world shows it. */
export class TestCgroup {
  readonly #daemon: TestDaemon;
  /** From the hierarchies' roots. */
  readonly path: string;

  constructor(daemon: TestDaemon, podId: string, containerId?: string) {
    this.#daemon = daemon;
    const pod = `${daemon.world.cgroupParent}/pod-${podId}`;
    this.path = containerId === undefined ? pod : `${pod}/${containerId}`;
  }

  /** What a file says, on v1 that of a controller's hierarchy. */
  async read(controller: string, file: string): Promise<string> {
    const folder = isV2 ? root + this.path : `${root}/${controller}${this.path}`;
    return (await this.#daemon.world.must("cat", `${folder}/${file}`)).trim();
  }

  /** The number after a key in a file. */
  async key(controller: string, file: string, key: string): Promise<bigint> {
    const value = new RegExp(`^${key} (\\d+)$`, "m").exec(await this.read(controller, file))?.[1];
    if (value === undefined) throw new Error(`no ${key} in ${file} of ${this.path}`);
    return BigInt(value);
  }

  /** CPU time so far, nanoseconds. */
  async cpu(): Promise<bigint> {
    return isV2
      ? (await this.key("cpu", "cpu.stat", "usage_usec")) * 1000n
      : BigInt(await this.read("cpuacct", "cpuacct.usage"));
  }

  /** Memory in use, bytes. */
  async memory(): Promise<bigint> {
    return BigInt(await this.read("memory", isV2 ? "memory.current" : "memory.usage_in_bytes"));
  }

  /** Memory without inactive file cache, bytes. */
  async workingSet(): Promise<bigint> {
    const key = isV2 ? "inactive_file" : "total_inactive_file";
    return (await this.memory()) - (await this.key("memory", "memory.stat", key));
  }

  /** The `some` total of a pressure file in microseconds; undefined where the kernel has none. */
  async pressure(resource: string): Promise<bigint | undefined> {
    const folder = `${root}${isV2 ? "" : "/unified"}${this.path}`;
    const { status, stdout } = await this.#daemon.world.run("cat", [`${folder}/${resource}.pressure`]);
    return status === 0 ? BigInt(/^some .*total=(\d+)$/m.exec(stdout)?.[1] ?? 0) : undefined;
  }

  /** The open descriptors of all its processes. */
  async descriptors(): Promise<bigint> {
    const pids = (await this.read("pids", "cgroup.procs")).split("\n");
    const list = await this.#daemon.world.must("ls", "-1", ...pids.map((pid) => `/proc/${pid}/fd`));
    return BigInt(list.split("\n").filter((line) => /^\d+$/.test(line)).length);
  }
}
