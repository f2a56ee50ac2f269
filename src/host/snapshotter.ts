import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { tryOverlay } from "../sys/index.ts";
import type { HostCheck } from "./kernel-checks.ts";

/** What the configuration may say; `auto` is overlay where it works, else copies. */
export type WantedSnapshotter = "auto" | "overlay" | "copy";

/** How containers get their roots, and what led to it. */
export interface ChosenSnapshotter {
  readonly snapshotter: "overlay" | "copy";
  readonly check: HostCheck;
}

/** Tries overlay below the folder that images and containers will be in; nothing of it stays. */
export async function chooseSnapshotter(wanted: WantedSnapshotter, root: string): Promise<ChosenSnapshotter> {
  if (wanted === "copy") {
    const detail = 'not asked for: images.snapshotter is "copy"';
    return { snapshotter: "copy", check: { name: "overlay", ok: true, detail, fallback: null } };
  }
  const problem = await overlayProblem(root);
  const works = problem === undefined;
  const fallback = wanted === "auto" ? "each container's root is a copy of its image's tree" : null;
  return {
    snapshotter: works || wanted === "overlay" ? "overlay" : "copy",
    check: { name: "overlay", ok: works, detail: problem ?? `tried below ${root}`, fallback },
  };
}

/** Why overlay does not work on a folder's file system; undefined where it does. */
async function overlayProblem(root: string): Promise<string | undefined> {
  const trial = await mkdtemp(join(root, "overlay-trial-"));
  try {
    const folders = { lower: join(trial, "lower"), upper: join(trial, "upper"), work: join(trial, "work") };
    for (const folder of Object.values(folders)) await mkdir(folder);
    tryOverlay(folders);
    return undefined;
  } catch (thrown) {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } finally {
    await rm(trial, { recursive: true, force: true });
  }
}
