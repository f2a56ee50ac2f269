import { readFile } from "node:fs/promises";
import type { Pod } from "../../core/pod.ts";
import type { StatePaths } from "../paths.ts";
import { podNamespaces } from "./namespaces.ts";

/** True where every namespace that a pod should have is still pinned and its PID 1 still runs. */
export async function hasPins(paths: StatePaths, pod: Pod): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const { pins } = podNamespaces(paths.pod(pod.id), pod.config);
  const pinned = Object.values(pins).every((path) => mounts.includes(` ${path} `));
  if (!pinned || pod.reaper === undefined) return pinned;
  return isRunning(pod.reaper.pid, pod.reaper.startTicks);
}

/** True where the process is the one that was recorded and not a zombie (proc(5): stat has state and start time). */
async function isRunning(pid: number, startTicks: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name, in parentheses, may hold anything: what follows the last one is fields 3 and on.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] !== "Z" && Number(fields[19]) === startTicks;
}
