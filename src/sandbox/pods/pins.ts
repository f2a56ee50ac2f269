import { readFile, stat } from "node:fs/promises";
import type { Pod } from "../../core/pod.ts";
import type { StatePaths } from "../paths.ts";
import { podNamespaces } from "./namespaces.ts";

/** True where every namespace that a pod should have is still pinned and its PID 1 still runs. */
export async function hasPins(paths: StatePaths, pod: Pod): Promise<boolean> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  const { pins } = podNamespaces(paths.pod(pod.id), pod.config);
  const pinned = Object.values(pins).every((path) => mounts.includes(` ${path} `));
  if (!pinned || pod.reaper === undefined) return pinned;
  const alive = await stat(`/proc/${pod.reaper.pid}`).then(
    () => true,
    () => false,
  );
  return alive;
}
