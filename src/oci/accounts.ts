/** A line of passwd(5). */
export interface PasswdEntry {
  readonly name: string;
  /** Undefined where the field is no id that this project accepts. */
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly home: string;
}

/** A line of group(5). */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number | undefined;
  readonly members: readonly string[];
}

/** The greatest uid and gid: what runc and the CRI's own clients accept (CVE-2024-40635). */
export const maxAccountId = 2 ** 31 - 1;

/** Reads 0 to 2^31-1, digits only. */
export function parseAccountId(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  return id <= maxAccountId ? id : undefined;
}

/** @see https://man7.org/linux/man-pages/man5/passwd.5.html */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  return fieldsOfLines(text).map(([name = "", , uid = "", gid = "", , home = ""]) => ({
    name,
    uid: parseAccountId(uid),
    gid: parseAccountId(gid),
    home,
  }));
}

/** @see https://man7.org/linux/man-pages/man5/group.5.html */
export function parseGroup(text: string): readonly GroupEntry[] {
  return fieldsOfLines(text).map(([name = "", , gid = "", members = ""]) => ({
    name,
    gid: parseAccountId(gid),
    members: members.split(",").filter((member) => member !== ""),
  }));
}

function fieldsOfLines(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));
}
