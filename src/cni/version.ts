/** The versions of the CNI spec that this runtime speaks, oldest first. */
export const cniVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** One of {@link cniVersions}. */
export type CniVersion = (typeof cniVersions)[number];

/** True where `text` is a version that this runtime speaks. */
export function isCniVersion(text: string): text is CniVersion {
  return (cniVersions as readonly string[]).includes(text);
}

/** The newest version that both sides speak; undefined where there is none. */
export function newestCommon(offered: readonly string[]): CniVersion | undefined {
  return cniVersions.findLast((version) => offered.includes(version));
}

/** True where `version` is `minimum` or newer. */
export function isVersionAtLeast(version: CniVersion, minimum: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(minimum);
}
