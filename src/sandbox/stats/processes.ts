import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** What the processes of a container hold open; a value that would have taken too long to count is absent. */
export interface ProcessCounts {
  readonly processes: bigint;
  readonly fileDescriptors: bigint | undefined;
  readonly sockets: bigint | undefined;
}

/** Descriptors looked at for one answer, over all containers; one takes a few microseconds. */
export const maxDescriptorsLookedAt = 20_000;

/** Processes looked at for one answer, over all containers. */
export const maxProcessesLookedAt = 5_000;

/** Cgroups below a container's that are looked into; one that makes more hides their processes from this count. */
const maxSubgroups = 128;

/** How much one answer may still look at. */
export class LookBudget {
  processes = maxProcessesLookedAt;
  descriptors = maxDescriptorsLookedAt;
}

/** Counts the processes of a cgroup, those of the cgroups below included, and what they hold open. */
export function countProcesses(cgroupFolder: string, budget: LookBudget): ProcessCounts {
  const pids = processesBelow(cgroupFolder);
  let fileDescriptors = 0;
  let sockets = 0;
  for (const pid of pids) {
    if (budget.processes <= 0 || budget.descriptors <= 0) {
      return { processes: BigInt(pids.length), fileDescriptors: undefined, sockets: undefined };
    }
    budget.processes -= 1;
    const descriptors = listFolder(`/proc/${pid}/fd`);
    budget.descriptors -= descriptors.length;
    fileDescriptors += descriptors.length;
    sockets += descriptors.filter((name) => isSocket(`/proc/${pid}/fd/${name}`)).length;
  }
  return {
    processes: BigInt(pids.length),
    fileDescriptors: BigInt(fileDescriptors),
    sockets: BigInt(sockets),
  };
}

/**
 * The soft limit on open files of a process; undefined where it has none or is gone.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_limits.5.html
 */
export function maxOpenFiles(pid: number): bigint | undefined {
  const digits = /^Max open files\s+(\d+)/m.exec(readText(`/proc/${pid}/limits`))?.[1];
  return digits === undefined ? undefined : BigInt(digits);
}

/** The ids of all processes of a cgroup and those below it, as this process sees them. */
export function processesBelow(folder: string): readonly string[] {
  const pids: string[] = [];
  const folders = [folder];
  for (let index = 0; index < folders.length && index <= maxSubgroups; index++) {
    const current = folders[index] ?? "";
    pids.push(...readText(`${current}/cgroup.procs`).split("\n").filter(isPid));
    folders.push(...subfolders(current));
  }
  return pids;
}

/** A process that this one cannot see is listed as 0. */
function isPid(line: string): boolean {
  return line !== "" && line !== "0";
}

/** A cgroup's folder has two links of its own and one for each below it, which spares most of the reading. */
function subfolders(folder: string): readonly string[] {
  try {
    if (statSync(folder).nlink === 2) return [];
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${folder}/${entry.name}`);
  } catch {
    return [];
  }
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith("socket:");
  } catch {
    return false;
  }
}

function listFolder(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
