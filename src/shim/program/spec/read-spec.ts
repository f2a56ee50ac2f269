import type { Spec, SpecLinux, SpecNamespace, SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { failure, prefixed } from "../ffi/error.ts";
import { readFile } from "../ffi/files.ts";
import { decode } from "../json.ts";
import { capabilityBit } from "../process/capability-names.ts";
import { rlimitNumber } from "../process/rlimits.ts";
import type { UnknownField } from "./shape.ts";
import { refuse, refuseUnknown } from "./shape.ts";
import { specShape } from "./spec-shape.ts";

/** A config.json longer than this is refused. */
const maxSpecBytes = 1024 * 1024;

/** A spec that was checked field by field: the parts that a container can't do without are there. */
export interface CheckedSpec extends Spec {
  readonly root: { readonly path: string; readonly readonly?: boolean };
  readonly process: SpecProcess;
  readonly linux: SpecLinux;
}

/**
 * Reads and checks `<bundle>/config.json`; throws `invalid-argument` that names the field. `amend` may change the
 * document before it is checked; a field that the runtime spec does not know is refused, but where `onUnknown` is told.
 */
export function readSpec(
  bundle: string,
  amend: (document: unknown) => void = () => undefined,
  onUnknown: UnknownField = refuseUnknown,
): CheckedSpec {
  const path = `${bundle}/config.json`;
  try {
    const spec = decode(readFile(path, maxSpecBytes), maxSpecBytes);
    amend(spec);
    specShape(spec, "", onUnknown);
    const checked = spec as CheckedSpec;
    checkVersion(checked.ociVersion);
    checkProcess(checked.process);
    checkNamespaces(checked.linux);
    return checked;
  } catch (thrown) {
    throw prefixed("config.json", thrown);
  }
}

/** What the shape can't say of a process. */
export function checkProcess(process: SpecProcess): void {
  if (process.args.length === 0) refuse("process.args", "must not be empty");
  for (const entry of process.env ?? []) {
    const [equals] = string.find(entry, "=", 2, true);
    if (equals === undefined) refuse("process.env", `${entry}: must be NAME=value`);
  }
  for (const rlimit of process.rlimits ?? []) {
    if (rlimitNumber(rlimit.type) === undefined) refuse("process.rlimits", `unknown limit ${rlimit.type}`);
    if (rlimit.soft > rlimit.hard) refuse("process.rlimits", `${rlimit.type}: soft is above hard`);
  }
  for (const [, names] of pairs(process.capabilities ?? {})) {
    for (const name of names) {
      if (capabilityBit(name) === undefined) refuse("process.capabilities", `unknown capability ${name}`);
    }
  }
}

function checkVersion(version: string): void {
  const [one] = string.match(version, "^1%.[0-9]+%.[0-9]+");
  if (one === undefined) refuse("ociVersion", `${version}: only 1.x is known`);
}

function checkNamespaces(linux: SpecLinux): void {
  const seen: Partial<Record<string, true>> = {};
  for (const namespace of linux.namespaces ?? []) {
    if (seen[namespace.type] === true) refuse("linux.namespaces", `${namespace.type} comes twice`);
    seen[namespace.type] = true;
  }
  const mount = namespaceOf(linux, "mount");
  if (mount === undefined) refuse("linux.namespaces", "a mount namespace is needed");
  if (mount.path !== undefined) refuse("linux.namespaces", "joining a mount namespace is not supported");
  const user = namespaceOf(linux, "user");
  const maps = (linux.uidMappings ?? []).length + (linux.gidMappings ?? []).length;
  if (maps > 0 && user === undefined) {
    refuse("linux.uidMappings", "a user namespace is needed");
  }
  if (user !== undefined && user.path === undefined && maps === 0) {
    refuse("linux.uidMappings", "missing for a new user namespace");
  }
  if (linux.timeOffsets !== undefined && namespaceOf(linux, "time")?.path !== undefined) {
    refuse("linux.timeOffsets", "a new time namespace is needed");
  }
}

/** The namespace of a type that the spec asks for, or `undefined` for the host's. */
export function namespaceOf(linux: SpecLinux, kind: SpecNamespace["type"]): SpecNamespace | undefined {
  return (linux.namespaces ?? []).find((one) => one.type === kind);
}

/** Where the container's cgroup is; `invalid-argument` where the spec doesn't say or leaves its place. */
export function cgroupPath(spec: CheckedSpec): string {
  const path = spec.linux.cgroupsPath;
  if (path === undefined) throw failure("invalid-argument", "config.json: linux.cgroupsPath: missing");
  for (const [part] of string.gmatch(path, "[^/]+")) {
    if (part === ".." || part === ".")
      refuse("config.json: linux.cgroupsPath", `${path}: must not hold ${part}`);
  }
  return path;
}
