import type { SpecDeviceRule } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../../program/ffi/error.ts";
import type { CheckedSpec } from "../../program/spec/read-spec.ts";
import { readSpec } from "../../program/spec/read-spec.ts";
import { isJsonArray, jsonArray } from "../../program/json.ts";
import { capabilityBit } from "../../program/process/capability-names.ts";
import type { Log } from "../log.ts";
import type { Settings } from "../settings.ts";

/** What a container may use whatever its list of devices says: the default devices, terminals, and making nodes. */
const defaultRules: readonly SpecDeviceRule[] = [
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 5, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 7, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 8, access: "rwm" },
  { allow: true, type: "c", major: 1, minor: 9, access: "rwm" },
  { allow: true, type: "c", major: 5, minor: 0, access: "rwm" },
  { allow: true, type: "c", major: 5, minor: 2, access: "rwm" },
  { allow: true, type: "c", major: 136, access: "rwm" },
];

interface Amendable {
  process?: unknown;
  mounts?: { destination?: string }[];
  linux?: {
    cgroupsPath?: unknown;
    namespaces?: { path?: string }[];
    resources?: { devices?: unknown[] };
  };
}

/**
 * The bundle's config.json with what an OCI runtime adds: a cgroup for a container that names none, and the devices
 * that every container has. An unknown field is a warning, as the runtime spec wants it (config.md#extensibility).
 */
export function readBundle(bundle: string, id: string, { log }: Settings): CheckedSpec {
  return readSpec(
    bundle,
    (document) => {
      if (type(document) !== "table") return;
      completeProcess((document as Amendable).process, log);
      absoluteDestinations((document as Amendable).mounts, log);
      const { linux } = document as Amendable;
      if (type(linux) !== "table" || linux === undefined) return;
      for (const namespace of linux.namespaces ?? []) if (namespace.path === "") namespace.path = undefined;
      linux.cgroupsPath = cgroupPathOf(linux.cgroupsPath, id);
      const rules = linux.resources?.devices;
      if (type(rules) === "table" && rules !== undefined && rules.length > 0) rules.push(...defaultRules);
    },
    (field) => {
      log.warn(`config.json: ${field}: unknown, ignored`);
    },
  );
}

/** A path that is relative, or missing, is one from the hierarchies' roots. */
function cgroupPathOf(path: unknown, id: string): unknown {
  if (path === undefined || path === "") return `/${id}`;
  if (type(path) !== "string") return path;
  const text = path as string;
  const [scope] = string.find(text, "^[^/]*:[^/]*:[^/]*$");
  if (scope !== undefined) {
    throw failure(
      "failed-precondition",
      `linux.cgroupsPath: ${text}: is for systemd; only the cgroupfs driver is supported`,
    );
  }
  const [plain] = string.gsub(`/${text}`, "/+", "/");
  return string.gsub(plain, "(.)/$", "%1")[0];
}

/** Gives a process what others take for granted, and takes away capabilities that nobody knows, with a warning. */
export function completeProcess(process: unknown, log: Log): void {
  if (type(process) !== "table") return;
  const { capabilities } = process as { capabilities?: Record<string, string[]> };
  const whole = process as { user?: { uid?: number; gid?: number } };
  whole.user ??= {};
  whole.user.uid ??= 0;
  whole.user.gid ??= 0;
  for (const [set, names] of pairs(capabilities ?? {})) {
    if (capabilities === undefined || !isJsonArray(names)) continue;
    const known = names.filter((name) => capabilityBit(name) !== undefined);
    if (known.length < names.length) log.warn(`process.capabilities.${set}: unknown capabilities, ignored`);
    capabilities[set] = jsonArray(known);
  }
}

/** A place that is not absolute is one from the root (runtime spec 1.2, config.md#mounts). */
function absoluteDestinations(mounts: Amendable["mounts"], log: Log): void {
  if (!isJsonArray(mounts)) return;
  for (const mount of mounts as { destination?: string }[]) {
    const { destination } = mount;
    if (type(destination) !== "string" || destination === undefined || destination.startsWith("/")) continue;
    log.warn(`mount ${destination}: not absolute; taken from the root`);
    mount.destination = `/${destination}`;
  }
}
