import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../failure.ts";
import { applySettings } from "./apply.ts";
import { attachDevicePolicy } from "./device-attach.ts";
import { parentsOf } from "./cgroup-path.ts";
import { folderOf, makeFolder, readValue, removeFolders, tryWrite } from "./folder.ts";
import { type Hierarchies, type Hierarchy, isPureV2 } from "./hierarchies.ts";
import { type ResourcePlan, planResources } from "./plan.ts";

/**
 * Makes the cgroup in every hierarchy. A folder that a lost container left is made anew, one with processes in it is
 * `failed-precondition`. Everything made is removed again on failure, but for parents, which are not this container's.
 */
export function makeCgroup(path: string, hierarchies: Hierarchies): void {
  const made: string[] = [];
  const [ok, problem] = pcall(() => {
    for (const hierarchy of hierarchies) {
      makeIn(hierarchy, path);
      made.push(folderOf(hierarchy, path));
    }
    if (isPureV2(hierarchies)) for (const hierarchy of hierarchies) enableControllers(hierarchy, path);
  });
  if (ok) return;
  for (const folder of made) pcall(removeFolders, folder);
  throw problem;
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

function makeIn(hierarchy: Hierarchy, path: string): void {
  const folder = folderOf(hierarchy, path);
  let outcome = makeFolder(folder);
  if (outcome === "orphan") {
    for (const parent of parentsOf(path)) makeFolder(folderOf(hierarchy, parent));
    outcome = makeFolder(folder);
  }
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
