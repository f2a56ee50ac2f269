import { arch } from "node:os";

/** What an image was built for (OCI image spec, image-index.md). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

const goNames: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", loong64: "loong64" };

/** The platform of this machine, in the names that Go and so OCI use. */
export function hostPlatform(): Platform {
  const name = arch();
  if (name === "arm64") return { os: "linux", architecture: "arm64", variant: "v8" };
  if (name === "arm") return { os: "linux", architecture: "arm", variant: "v7" };
  return { os: "linux", architecture: goNames[name] ?? name };
}

/** Shown as `linux/arm64/v8`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant]
    .filter((part) => part !== undefined)
    .join("/");
}

/**
 * The entry of an index that runs on `wanted`: same system and architecture, and the newest variant that is not newer
 * than the machine's. The first of equals wins, as other runtimes do; undefined where none runs.
 */
export function choosePlatform<T extends { readonly platform?: Platform }>(
  entries: readonly T[],
  wanted: Platform,
): T | undefined {
  let best: T | undefined;
  let bestRank = -1;
  for (const entry of entries) {
    const rank = entry.platform === undefined ? -1 : rankOf(entry.platform, wanted);
    if (rank > bestRank) {
      best = entry;
      bestRank = rank;
    }
  }
  return best ?? soleUnnamed(entries);
}

/** -1 where it does not run; otherwise higher is better. */
function rankOf(offered: Platform, wanted: Platform): number {
  if (offered.os !== wanted.os) return -1;
  // A 64-bit ARM machine runs 32-bit images only where the kernel was built to: not assumed.
  if (offered.architecture !== wanted.architecture) return -1;
  const offer = variantNumber(offered);
  const limit = variantNumber(wanted);
  return offer > limit ? -1 : offer;
}

/** `v7` is 7; arm64 without a variant is v8, arm v7, amd64 v1 (containerd platforms/database.go normalises so). */
function variantNumber(platform: Platform): number {
  const given = /^v(\d+)/.exec(platform.variant ?? "")?.[1];
  if (given !== undefined) return Number(given);
  if (platform.architecture === "arm64") return 8;
  if (platform.architecture === "arm") return 7;
  return 1;
}

/** An index with one entry that names no platform is that entry. */
function soleUnnamed<T extends { readonly platform?: Platform }>(entries: readonly T[]): T | undefined {
  return entries.length === 1 && entries[0]?.platform === undefined ? entries[0] : undefined;
}
