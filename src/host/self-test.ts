import { closeSync, openSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { asRuntimeError, RuntimeError } from "../core/errors.ts";
import { newPodId } from "../core/ids.ts";
import type { Launcher } from "../shim/client/index.ts";
import { acceptsMountOption, tryTreeAttributes } from "../sys/index.ts";
import type { ChosenSnapshotter } from "./snapshotter.ts";

/** What Status advertises: the scheduler sends pods by it, so each was tried on this host. */
export interface HostFeatures {
  readonly recursiveReadOnlyMounts: boolean;
  readonly userNamespaces: boolean;
  /** Why a feature is not offered, for a person. */
  readonly missing: readonly string[];
}

/** The run of ids that the trial namespace maps; nothing of it is ever used. */
const trialMapping = [{ containerID: 0, hostID: 65_536, size: 65_536 }];

/**
 * Tries what pods may ask for beyond the necessary, with the launcher and the file system that they will use. Nothing
 * of it stays.
 *
 * @param snapshotter with overlay a user namespace needs a newer kernel than with copies.
 * @param layers folder of the image layers, which a pod's user namespace has to see through an id-mapped mount.
 * @param pins folder in which namespaces are pinned.
 */
export async function tryFeatures(
  launcher: Launcher,
  snapshotter: ChosenSnapshotter["snapshotter"],
  layers: string,
  pins: string,
): Promise<HostFeatures> {
  const missing: string[] = [];
  const tried = async (what: string, trial: () => Promise<void>): Promise<boolean> => {
    try {
      await trial();
      return true;
    } catch (thrown) {
      missing.push(`${what}: ${asRuntimeError(thrown).message}`);
      return false;
    }
  };
  await mkdir(layers, { recursive: true, mode: 0o700 });
  return {
    recursiveReadOnlyMounts: await tried("recursive read-only mounts", () => {
      tryTreeAttributes("/", { kind: "read-only" });
      return Promise.resolve();
    }),
    userNamespaces: await tried("user namespaces", () =>
      tryUserNamespace(launcher, snapshotter, layers, pins),
    ),
    missing,
  };
}

async function tryUserNamespace(
  launcher: Launcher,
  snapshotter: ChosenSnapshotter["snapshotter"],
  layers: string,
  pins: string,
): Promise<void> {
  // The shim mounts id-mapped layers through this alone.
  if (snapshotter === "overlay" && !acceptsMountOption("overlay", "lowerdir+", "/")) {
    throw new RuntimeError("failed-precondition", "overlay has no lowerdir+ (Linux 6.8)");
  }
  const id = newPodId();
  const user = `${pins}/trial-${id}`;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rm(user, { force: true }));
  undo.defer(() => launcher.removePod({ id, pins: { user } }));
  await launcher.createPod({
    id,
    pins: { user },
    hostname: "",
    sysctls: {},
    userMappings: { uids: trialMapping, gids: trialMapping },
  });
  const userns = openSync(user, "r");
  try {
    tryTreeAttributes(layers, { kind: "idmapped", userns });
  } finally {
    closeSync(userns);
  }
}
