import { readFile, writeFile } from "node:fs/promises";

/** Makes what a process uses now its peak (proc_pid_clear_refs(5)). */
export async function resetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, "5");
}

/** The most memory that a process has had in use since then, in MB (10^6 bytes; VmHWM of proc_pid_status(5)). */
export async function peakMegabytes(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no VmHWM`);
  return (Number(kilobytes) * 1024) / 1e6;
}
