import type { Hierarchies } from "../../program/cgroup/index.ts";
import { discoverHierarchies, openCgroup } from "../../program/cgroup/index.ts";
import type { Cgroup } from "../../program/cgroup/index.ts";
import { AT } from "../../program/ffi/constants.ts";
import { failure } from "../../program/ffi/error.ts";
import { tryReadFile, tryStatx } from "../../program/ffi/files.ts";
import { startTicks } from "../../program/ffi/processes.ts";
import type { Settings } from "../settings.ts";
import type { ContainerRecord } from "./record.ts";
import { folderOfContainer, parseId, readRecord } from "./record.ts";

/** The states of the runtime spec, and the freezer's. */
export type Status = "created" | "running" | "paused" | "stopped";

/** A container with all that commands ask of it. */
export interface FoundContainer {
  readonly record: ContainerRecord;
  readonly cgroup: Cgroup;
  readonly hierarchies: Hierarchies;
  readonly status: Status;
}

/** The fields of a state document, in their order. */
export const stateFields: readonly string[] = [
  "ociVersion",
  "id",
  "pid",
  "status",
  "bundle",
  "rootfs",
  "created",
  "annotations",
  "owner",
];

const maxStatBytes = 4096;

/** The container that a command names. */
export function findContainer(settings: Settings, word: string | undefined): FoundContainer {
  const record = readRecord(settings.root, parseId(word));
  return describeContainer(settings, record, discoverHierarchies());
}

/** Looks up the state of a container. */
export function describeContainer(
  settings: Settings,
  record: ContainerRecord,
  hierarchies: Hierarchies,
): FoundContainer {
  const cgroup = openCgroup(record.cgroup, hierarchies);
  return { record, cgroup, hierarchies, status: statusOf(settings, record, cgroup) };
}

/** Throws unless the container is in one of the states. */
export function requireStatus(container: FoundContainer, verb: string, allowed: readonly Status[]): void {
  if (allowed.includes(container.status)) return;
  const { id } = container.record;
  throw failure("failed-precondition", `cannot ${verb} container ${id}: it is ${container.status}`);
}

/** True while init runs: neither gone, nor a zombie, nor another process with its number. */
export function initLives({ init }: ContainerRecord): boolean {
  if (startTicks(init.pid) !== init.pidStartTicks) return false;
  const [state] = string.match(tryReadFile(`/proc/${init.pid}/stat`, maxStatBytes) ?? "", "^.*%) (%a)");
  return state !== undefined && state !== "Z" && state !== "X";
}

function statusOf(settings: Settings, record: ContainerRecord, cgroup: Cgroup): Status {
  if (!initLives(record)) return "stopped";
  if (cgroup.isFrozen()) return "paused";
  const { start } = folderOfContainer(settings.root, record.id);
  return tryStatx(AT.FDCWD, start, 0) === undefined ? "running" : "created";
}
