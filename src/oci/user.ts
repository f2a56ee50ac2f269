import type { ContainerUser } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import { maxAccountFileBytes } from "../core/limits.ts";
import type { SupplementalGroupsPolicy } from "../core/security.ts";
import { type GroupEntry, maxAccountId, parseGroup, type PasswdEntry, parsePasswd } from "./accounts.ts";

/** What a container's user is found from. */
export interface UserRequest {
  /** The text of the image's /etc/passwd and /etc/group, at most `maxAccountFileBytes`; absent where there is none. */
  readonly passwd?: string;
  readonly group?: string;
  /** The image config's `User`; empty is root. */
  readonly imageUser: string;
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsUsername?: string;
  readonly supplementalGroups: readonly number[];
  readonly policy: SupplementalGroupsPolicy;
}

/** The user of a container's processes. */
export interface ResolvedUser extends ContainerUser {
  /** The home folder in the image's /etc/passwd, else `/`; never with control characters (CVE-2022-4318). */
  readonly home: string;
}

/** The user part of an image's `User`, as ImageStatus reports it: the kubelet's runAsNonRoot check reads it. */
export type ImageUser = { readonly uid: number } | { readonly username: string };

/** NGROUPS_MAX of limits.h. */
const maxGroups = 65536;

/** Splits an image's `User`; throws `invalid-argument` for a number outside 0 to 2^31-1. */
export function parseImageUser(text: string): ImageUser {
  const [user = ""] = splitUser(text);
  const uid = parseNumeric(user, "user");
  return uid !== undefined ? { uid } : user === "" ? { uid: 0 } : { username: user };
}

/**
 * Finds uid, gid, groups and home. What is written in digits is a number and is never looked up as a name
 * (CVE-2024-40635, CVE-2026-46680, CVE-2016-3697). A uid without an entry in /etc/passwd has gid 0, as with other
 * runtimes. The primary gid is always among the groups (CVE-2023-25173). A name that is missing, a group without a user
 * and an id out of range are `invalid-argument`.
 */
export function resolveUser(request: UserRequest): ResolvedUser {
  const passwd = parsePasswd(limited("/etc/passwd", request.passwd));
  const groups = parseGroup(limited("/etc/group", request.group));
  const chosen = chooseUser(request);
  const entry = findUser(passwd, chosen.user);
  const uid = typeof chosen.user === "number" ? chosen.user : idOf(entry?.uid, "uid", chosen.user);
  const gid = primaryGid(chosen, entry, groups);
  const named = request.policy === "merge" ? groupsOf(entry, chosen.user, groups) : [];
  const requested = request.supplementalGroups.map((id) => checkId(id, "supplemental_groups"));
  const supplementalGroups = [...new Set([gid, ...named, ...requested])].sort((a, b) => a - b);
  if (supplementalGroups.length > maxGroups) {
    throw new RuntimeError(
      "invalid-argument",
      `${supplementalGroups.length} supplemental groups: at most ${maxGroups}`,
    );
  }
  return { uid, gid, supplementalGroups, home: homeOf(entry) };
}

interface ChosenUser {
  readonly user: number | string;
  /** Absent is the user's own. */
  readonly group?: number | string;
}

function chooseUser(request: UserRequest): ChosenUser {
  const username = request.runAsUsername ?? "";
  if (request.runAsUser !== undefined && username !== "") {
    throw new RuntimeError("invalid-argument", "run_as_user and run_as_username are both set");
  }
  const group =
    request.runAsGroup === undefined ? {} : { group: checkId(request.runAsGroup, "run_as_group") };
  if (request.runAsUser !== undefined) return { user: checkId(request.runAsUser, "run_as_user"), ...group };
  if (username !== "") {
    if (username.includes(":")) throw badUser("run_as_username", username, "it has a colon");
    return { user: parseNumeric(username, "run_as_username") ?? username, ...group };
  }
  // The CRI has the runtime refuse a group without a user, rather than add it to whatever the image says.
  if (request.runAsGroup !== undefined) {
    throw new RuntimeError("invalid-argument", "run_as_group is set without run_as_user or run_as_username");
  }
  return fromImage(request.imageUser);
}

function fromImage(text: string): ChosenUser {
  const [user = "", group = ""] = splitUser(text);
  return {
    user: user === "" ? 0 : (parseNumeric(user, "user") ?? user),
    ...(group === "" ? {} : { group: parseNumeric(group, "group") ?? group }),
  };
}

function splitUser(text: string): readonly string[] {
  const parts = text.split(":");
  if (parts.length > 2) throw badUser("the image's user", text, "more than one colon");
  return parts;
}

/** The number that digits stand for; undefined for a name. A sign makes a number too, one that is out of range. */
function parseNumeric(text: string, field: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  if (!/^\d+$/.test(text)) throw badUser(field, text, `not in 0 to ${maxAccountId}`);
  return checkId(Number(text), field);
}

function checkId(id: number, field: string): number {
  if (Number.isInteger(id) && id >= 0 && id <= maxAccountId) return id;
  throw badUser(field, String(id), `not in 0 to ${maxAccountId}`);
}

function badUser(field: string, text: string, reason: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${field} ${JSON.stringify(text.slice(0, 200))}: ${reason}`);
}

function findUser(passwd: readonly PasswdEntry[], user: number | string): PasswdEntry | undefined {
  const found = passwd.find((entry) => (typeof user === "number" ? entry.uid === user : entry.name === user));
  if (found === undefined && typeof user === "string") {
    throw badUser("user", user, "not in the image's /etc/passwd");
  }
  return found;
}

function primaryGid(
  chosen: ChosenUser,
  entry: PasswdEntry | undefined,
  groups: readonly GroupEntry[],
): number {
  if (typeof chosen.group === "number") return chosen.group;
  if (chosen.group === undefined) return entry === undefined ? 0 : idOf(entry.gid, "gid", entry.name);
  const group = groups.find(({ name }) => name === chosen.group);
  if (group === undefined) throw badUser("group", chosen.group, "not in the image's /etc/group");
  return idOf(group.gid, "gid", group.name);
}

function groupsOf(
  entry: PasswdEntry | undefined,
  user: number | string,
  groups: readonly GroupEntry[],
): readonly number[] {
  const name = entry?.name ?? (typeof user === "string" ? user : undefined);
  if (name === undefined) return [];
  return groups
    .filter(({ members }) => members.includes(name))
    .map((group) => idOf(group.gid, "gid", group.name));
}

/** A malformed id must not become 0, which is root. */
function idOf(id: number | undefined, kind: "uid" | "gid", name: string): number {
  if (id !== undefined) return id;
  throw new RuntimeError("invalid-argument", `${JSON.stringify(name)} has no valid ${kind} in the image`);
}

function homeOf(entry: PasswdEntry | undefined): string {
  const home = entry?.home ?? "";
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  return home === "" || /[\x00-\x1f\x7f]/.test(home) ? "/" : home;
}

function limited(path: string, text = ""): string {
  if (Buffer.byteLength(text) <= maxAccountFileBytes) return text;
  throw new RuntimeError(
    "invalid-argument",
    `the image's ${path} is larger than ${maxAccountFileBytes} bytes`,
  );
}
