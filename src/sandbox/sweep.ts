import { readdir, readFile, rm } from "node:fs/promises";
import { parseContainerId, parsePodId, type ContainerId, type PodId } from "../core/ids.ts";
import type { Spec } from "../core/oci-runtime-spec.ts";
import type { RemovePodDeps } from "./pods/remove.ts";

/** How long the processes of what is swept have to die. */
const destroyTimeoutMs = 10_000;

/** How long a network plugin may take for one pod. */
const networkTimeoutMs = 5_000;

/** Does a piece of work whose failure is no other's. */
type Attempt = (what: string, work: () => Promise<void>) => Promise<void>;

/**
 * Removes what no record names: left by a daemon that died between an effect and its undoing, or whose record is
 * damaged. What runs there is nobody's and is killed first, since without its folder nothing could find it again.
 */
export async function sweep(deps: RemovePodDeps, attempt: Attempt): Promise<void> {
  for (const name of await listFolder(deps.paths.containers)) {
    await attempt(`left folder of container ${name}`, async () => {
      const id = parseContainerId(name);
      if (deps.inventory.findContainer(id) === undefined) await sweepContainer(deps, id);
    });
  }
  for (const name of await listFolder(deps.paths.pods)) {
    await attempt(`left folder of pod ${name}`, async () => {
      const id = parsePodId(name);
      if (deps.inventory.findPod(id) === undefined) await sweepPod(deps, id);
    });
  }
}

async function sweepContainer(deps: RemovePodDeps, id: ContainerId): Promise<void> {
  const { folder, spec } = deps.paths.container(id);
  const cgroup = await readCgroup(spec);
  if (cgroup !== undefined) await deps.launcher.destroy({ id, cgroup, timeoutMs: destroyTimeoutMs });
  await deps.images.removeSnapshot(id);
  await rm(folder, { recursive: true, force: true });
}

/** The cgroup of a bundle that the daemon wrote; where it did not come to its end, no shim was begun. */
async function readCgroup(specPath: string): Promise<string | undefined> {
  try {
    return (JSON.parse(await readFile(specPath, "utf8")) as Spec).linux?.cgroupsPath;
  } catch {
    return undefined;
  }
}

async function sweepPod(deps: RemovePodDeps, id: PodId): Promise<void> {
  const { network, ipc, uts, pid, user, shm, folder } = deps.paths.pod(id);
  await deps.networks.detach(id, undefined, AbortSignal.timeout(networkTimeoutMs));
  await deps.launcher.removePod({ id, pins: { network, ipc, uts, pid, user }, shmPath: shm });
  const own = `${deps.cgroupParent}/pod-${id}`;
  await deps.launcher.destroy({ id, cgroup: own, timeoutMs: destroyTimeoutMs });
  await rm(folder, { recursive: true, force: true });
}

async function listFolder(path: string): Promise<readonly string[]> {
  return readdir(path).catch(() => []);
}
