import type { SpecCapabilities, SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../../program/ffi/error.ts";
import type { Options } from "../options.ts";
import type { Settings } from "../settings.ts";
import type { ContainerRecord } from "./record.ts";
import { readBundle } from "./spec.ts";

/** The container's own process with what the options of `exec` change. */
export function processOf(record: ContainerRecord, options: Options, settings: Settings): SpecProcess {
  const { process } = readBundle(record.bundle, record.id, settings);
  const args = options.rest.slice(1);
  if (args.length === 0) throw failure("invalid-argument", "exec args cannot be empty");
  return {
    ...process,
    args,
    terminal: options.has("tty"),
    cwd: options.value("cwd") ?? process.cwd,
    env: [...(process.env ?? []), ...options.list("env")],
    user: userOf(process.user, options),
    capabilities: capabilitiesOf(process.capabilities ?? {}, options.list("cap")),
    apparmorProfile: options.value("apparmor") ?? process.apparmorProfile,
    selinuxLabel: options.value("process-label") ?? process.selinuxLabel,
    noNewPrivileges:
      options.value("no-new-privs") === undefined ? process.noNewPrivileges : options.has("no-new-privs"),
  };
}

function userOf(user: SpecProcess["user"], options: Options): SpecProcess["user"] {
  const more = options.list("additional-gids").map((text) => idOf(text, "additional-gids"));
  const additionalGids = [...(user.additionalGids ?? []), ...more];
  const asked = options.value("user");
  if (asked === undefined || asked === "") return { ...user, additionalGids };
  const [uid, gid] = string.match(asked, "^([^:]*):?(.*)$");
  return {
    ...user,
    uid: idOf(uid ?? "", "user"),
    gid: gid === undefined || gid === "" ? user.gid : idOf(gid, "user"),
    additionalGids,
  };
}

function idOf(text: string, option: string): number {
  const [digits] = string.match(text, "^%d+$");
  const id = tonumber(digits);
  if (id === undefined) throw failure("invalid-argument", `option --${option}: not an id: ${text}`);
  return id;
}

/** Ambient needs inheritable, which only the bundle gives. */
function capabilitiesOf(own: SpecCapabilities, more: readonly string[]): SpecCapabilities {
  if (more.length === 0) return own;
  const { bounding = [], effective = [], permitted = [], ambient = [], inheritable } = own;
  return {
    ...own,
    bounding: [...bounding, ...more],
    effective: [...effective, ...more],
    permitted: [...permitted, ...more],
    ambient: inheritable === undefined ? ambient : [...ambient, ...more],
  };
}
