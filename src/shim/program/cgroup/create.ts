import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../failure.ts";
import { AT } from "../ffi/constants.ts";
import { E, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { applySettings } from "./apply.ts";
import { attachDevicePolicy } from "./device-attach.ts";
import { parentsOf } from "./cgroup-path.ts";
import { folderOf, makeFolder, readValue, removeFolders, tryWrite } from "./folder.ts";
import { type Hierarchies, type Hierarchy, isPureV2 } from "./hierarchies.ts";
import { type ResourcePlan, planResources } from "./plan.ts";

/** How often a parent is made again that another container's end took away meanwhile. */
const maxTries = 10;

/**
 * Makes the cgroup in every hierarchy, with the parents that are missing. A folder that a lost container left is made
 * anew, one with processes in it is `failed-precondition`. Returns the parents' folders that were made, outermost first:
 * they are to be removed with a container that comes to nothing. On failure everything made is removed again.
 */
export function makeCgroup(path: string, hierarchies: Hierarchies): string[] {
  const made: string[] = [];
  const parents: string[] = [];
  const [ok, problem] = pcall(() => {
    for (const hierarchy of hierarchies) {
      makeIn(hierarchy, path, parents);
      made.push(folderOf(hierarchy, path));
    }
    if (isPureV2(hierarchies)) for (const hierarchy of hierarchies) enableControllers(hierarchy, path);
  });
  if (ok) return parents;
  for (const folder of made) pcall(removeFolders, folder);
  removeParents(parents);
  throw problem;
}

/** Removes parents that {@link makeCgroup} made, but for those that somebody else uses by now. */
export function removeParents(parents: readonly string[]): void {
  for (let index = parents.length - 1; index >= 0; index--) {
    C.unlinkat(AT.FDCWD, parents[index] as string, AT.REMOVEDIR);
  }
}

/** Sets the limits of a cgroup that {@link makeCgroup} made; returns warnings. */
export function limitCgroup(path: string, hierarchies: Hierarchies, resources: SpecResources): string[] {
  const plan = planResources(resources, hierarchies, () => undefined);
  const warnings = [...plan.warnings];
  for (const { hierarchy } of plan.writes) {
    // Beside v1 the few controllers that are left to v2 are handed down only where a limit needs them.
    if (hierarchy.version === 2 && !isPureV2(hierarchies)) enableControllers(hierarchy, path);
  }
  writePlan(path, hierarchies, plan, warnings);
  return warnings;
}

function writePlan(path: string, hierarchies: Hierarchies, plan: ResourcePlan, warnings: string[]): void {
  for (const { hierarchy, settings } of plan.writes) {
    applySettings(folderOf(hierarchy, path), settings, warnings);
  }
  if (plan.devices === undefined) return;
  for (const hierarchy of hierarchies) {
    if (hierarchy.version === 2) attachDevicePolicy(folderOf(hierarchy, path), plan.devices);
  }
}

function makeIn(hierarchy: Hierarchy, path: string, parents: string[]): void {
  const folder = folderOf(hierarchy, path);
  let outcome = makeFolder(folder);
  for (let tries = 0; outcome === "orphan" && tries < maxTries; tries++) {
    for (const parent of parentsOf(path)) {
      const above = folderOf(hierarchy, parent);
      if (makeFolder(above) === "made") parents.push(above);
    }
    outcome = makeFolder(folder);
  }
  if (outcome === "orphan") throw sysError("mkdir", folder, E.NOENT);
  if (outcome === "exists") {
    if (removeFolders(folder) !== undefined || makeFolder(folder) !== "made") {
      throw failure("failed-precondition", `cgroup ${folder} exists and has processes in it`);
    }
  }
  if (hierarchy.controllers.includes("cpuset") && hierarchy.version === 1) {
    inheritCpuset(folder, hierarchy.mountPoint, "cpuset.cpus");
    inheritCpuset(folder, hierarchy.mountPoint, "cpuset.mems");
  }
}

/**
 * Hands all of the root's controllers down to the cgroup. A parent that refuses one (it has processes of its own) is
 * no error here: a limit that needs the controller fails by name when it is written.
 */
function enableControllers(hierarchy: Hierarchy, path: string): void {
  const has = ` ${readValue(folderOf(hierarchy, path), "cgroup.controllers") ?? ""} `;
  const missing = hierarchy.controllers.filter((controller) => !has.includes(` ${controller} `));
  if (missing.length === 0) return;
  for (const parent of ["", ...parentsOf(path)]) {
    for (const controller of missing) {
      tryWrite(folderOf(hierarchy, parent), "cgroup.subtree_control", `+${controller}`);
    }
  }
}

/** A v1 cpuset starts empty and takes no process until it has CPUs and memory nodes: gives it its parent's. */
function inheritCpuset(folder: string, top: string, file: string): string {
  const own = readValue(folder, file) ?? "";
  if (own !== "" || folder === top) return own;
  const [parent] = string.match(folder, "^(.*)/[^/]+$");
  const value = inheritCpuset(parent ?? top, top, file);
  tryWrite(folder, file, value);
  return value;
}
