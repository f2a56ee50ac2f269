import { readdir, readFile, readlink } from "node:fs/promises";
import type { World } from "../../test/harness/world.ts";
import { markerVariable } from "./steps.ts";

/** A process on the host, as /proc has it. */
interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its number in the innermost PID namespace: 1 is a container's first process. */
  readonly innermostPid: number;
  readonly pidNamespace: string;
  /** The container that its environment names. */
  readonly marker: string | undefined;
}

/**
 * Pss of the shims in a world, in MB (10^6 bytes), by the marker of their container. A shim is the parent of a
 * container's first process, with whatever else that parent has started outside of containers; so it needs no names,
 * and nothing that a runtime keeps a container is left out. A pause process is not counted.
 */
export async function shimMegabytes(world: World): Promise<ReadonlyMap<string, number>> {
  const own = await world.must("readlink", "/proc/self/ns/pid");
  const processes = await listProcesses();
  const found = new Map<string, number>();
  for (const process of processes) {
    if (process.marker === undefined || process.innermostPid !== 1) continue;
    const parent = processes.find(({ pid }) => pid === process.parent);
    if (parent?.pidNamespace !== own.trim()) continue;
    let bytes = await readPss(parent.pid);
    // A process that it has started for a moment may have ended since.
    for (const pid of descendants(parent, processes)) bytes += await readPss(pid).catch(() => 0);
    found.set(process.marker, bytes / 1e6);
  }
  return found;
}

/** What a process has started, and what that has, in the same PID namespace. */
function descendants(root: Process, processes: readonly Process[]): number[] {
  return processes
    .filter((process) => process.parent === root.pid && process.pidNamespace === root.pidNamespace)
    .flatMap((child) => [child.pid, ...descendants(child, processes)]);
}

async function listProcesses(): Promise<Process[]> {
  const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found: Process[] = [];
  for (const name of names) {
    // A process that ends meanwhile is none.
    const process = await readProcess(Number(name)).catch(() => undefined);
    if (process !== undefined) found.push(process);
  }
  return found;
}

async function readProcess(pid: number): Promise<Process> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
  const environment = await readFile(`/proc/${pid}/environ`, "utf8");
  const prefix = `${markerVariable}=`;
  return {
    pid,
    parent: Number(field("PPid")),
    innermostPid: Number(field("NSpid").split("\t").at(-1)),
    pidNamespace: await readlink(`/proc/${pid}/ns/pid`),
    marker: environment
      .split("\0")
      .find((entry) => entry.startsWith(prefix))
      ?.slice(prefix.length),
  };
}

/** proc_pid_smaps(5): what the process has of its own, and its part of what it shares. */
async function readPss(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no Pss`);
  return Number(kilobytes) * 1024;
}
