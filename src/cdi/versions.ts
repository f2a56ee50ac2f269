/** Versions of the format, oldest first (CDI's SPEC.md, "Released versions"). */
export const versions = [
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.4.0",
  "0.5.0",
  "0.6.0",
  "0.7.0",
  "0.8.0",
  "1.0.0",
  "1.1.0",
] as const;

type Version = (typeof versions)[number];

/** The oldest version that has all a file uses, and the field that says so. */
export interface RequiredVersion {
  readonly version: Version;
  readonly field: string;
}

/** Fields that came later than the first version, by their path; `*` is every entry of a list. */
const since: readonly (readonly [path: string, version: Version, uses?: (value: unknown) => boolean])[] = [
  ["EDITS.netDevices", "1.1.0"],
  ["EDITS.intelRdt.schemata", "1.1.0"],
  ["EDITS.intelRdt.enableMonitoring", "1.1.0"],
  ["EDITS.intelRdt", "0.7.0"],
  ["EDITS.additionalGids", "0.7.0"],
  ["annotations", "0.6.0"],
  ["devices.*.annotations", "0.6.0"],
  ["kind", "0.6.0", (kind) => typeof kind === "string" && kind.slice(kind.indexOf("/")).includes(".")],
  ["EDITS.deviceNodes.*.hostPath", "0.5.0"],
  ["devices.*.name", "0.5.0", (name) => typeof name === "string" && /^\d/.test(name)],
  ["EDITS.mounts.*.type", "0.4.0"],
];

export function isKnownVersion(text: string): text is Version {
  return (versions as readonly string[]).includes(text);
}

/** True where `version` is newer than `than`. */
export function isNewer(version: Version, than: Version): boolean {
  return versions.indexOf(version) > versions.indexOf(than);
}

/** What a file needs, as it was written. */
export function requiredVersion(file: unknown): RequiredVersion {
  for (const [path, version, uses] of since) {
    for (const place of path.startsWith("EDITS") ? ["containerEdits", "devices.*.containerEdits"] : [""]) {
      const full = path.replace("EDITS", place);
      if (valuesAt(file, full.split(".")).some(uses ?? isGiven)) return { version, field: full };
    }
  }
  return { version: "0.1.0", field: "cdiVersion" };
}

function isGiven(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

function valuesAt(value: unknown, path: readonly string[]): readonly unknown[] {
  const [name, ...rest] = path;
  if (name === undefined) return [value];
  if (typeof value !== "object" || value === null) return [];
  if (name === "*") return Array.isArray(value) ? value.flatMap((item) => valuesAt(item, rest)) : [];
  return Object.hasOwn(value, name) ? valuesAt((value as Record<string, unknown>)[name], rest) : [];
}
