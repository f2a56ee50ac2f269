import type { RemovePodRequest } from "../../protocol/messages.ts";
import { type Hierarchies, openCgroup } from "../cgroup/index.ts";
import { type Failure, asFailure } from "../ffi/error.ts";
import { killReaper } from "./kill-reaper.ts";
import { unpin } from "./pins.ts";
import { allPodNamespaces } from "./plan.ts";
import { unmountSharedMemory } from "./shared-memory.ts";

/** How long the reaper's cgroup has to become empty. */
const cgroupTimeoutMs = 10_000;

/**
 * Undoes `createPod`: PID 1 with all in its namespace, pins, shared memory, cgroup. Every part is attempted even when
 * another fails, and each may be gone already.
 */
export function removePod(request: RemovePodRequest, hierarchies: Hierarchies): void {
  const { pins, reaper, shmPath, cgroup } = request;
  const problems: Failure[] = [];
  attempt(problems, () => {
    killReaper(reaper, pins.pid);
  });
  for (const kind of allPodNamespaces) {
    const path = pins[kind];
    if (path === undefined) continue;
    attempt(problems, () => {
      unpin(path);
    });
  }
  if (shmPath !== undefined) {
    attempt(problems, () => {
      unmountSharedMemory(shmPath);
    });
  }
  if (cgroup !== undefined) {
    attempt(problems, () => {
      openCgroup(cgroup, hierarchies).destroy(cgroupTimeoutMs);
    });
  }
  const first = problems[0];
  if (first === undefined) return;
  const texts = problems.map((problem) => problem.message).join("; ");
  throw { ...first, message: `pod ${request.id}: ${texts}` };
}

function attempt(problems: Failure[], part: () => void): void {
  const [ok, thrown] = pcall(part);
  if (!ok) problems.push(asFailure(thrown));
}
