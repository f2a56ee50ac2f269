import { arch } from "node:os";

/** What an image was built for (OCI image spec, image-index.md). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
  /** What an image demands of the system besides (`os.features`); of a machine, what it offers. */
  readonly features?: readonly string[];
}

const goNames: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", loong64: "loong64" };

/** The platform of this machine, in the names that Go and so OCI use. */
export function hostPlatform(): Platform {
  const name = arch();
  if (name === "arm64") return { os: "linux", architecture: "arm64", variant: "v8" };
  if (name === "arm") return { os: "linux", architecture: "arm", variant: "v7" };
  return { os: "linux", architecture: goNames[name] ?? name };
}

/** Shown as `linux/arm64/v8`, with features in brackets as containerd does: `linux(+erofs)/amd64`. */
export function formatPlatform({ os, architecture, variant, features = [] }: Platform): string {
  const system = features.length === 0 ? os : `${os}(+${features.join("+")})`;
  return [system, architecture, variant].filter((part) => part !== undefined).join("/");
}

/**
 * The entry of an index that runs on `wanted`: same system and architecture, no feature that the machine lacks, and the newest
 * variant that is not newer than the machine's. The first of equals wins, as other runtimes do; undefined where none runs.
 * `os.version` says nothing about Linux, and is not looked at.
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
  if (offered.features?.some((feature) => wanted.features?.includes(feature) !== true) === true) return -1;
  const offer = variantNumber(offered);
  const limit = variantNumber(wanted);
  // Variants without an order run on themselves alone.
  if (offer === undefined || limit === undefined) return offered.variant === wanted.variant ? 0 : -1;
  return offer > limit ? -1 : offer;
}

/**
 * `v7` is 7, `v8.2` is 8.2, and so are they without the letter; arm64 without a variant is v8, arm v7, amd64 v1
 * (containerd platforms/database.go normalises so). Undefined for a variant that is no number.
 */
function variantNumber(platform: Platform): number | undefined {
  const { variant = "" } = platform;
  // As one number: no minor of a published variant has two digits.
  const given = /^v?(\d{1,3}(?:\.\d)?)$/.exec(variant)?.[1];
  if (given !== undefined) return Number(given);
  if (variant !== "") return undefined;
  if (platform.architecture === "arm64") return 8;
  if (platform.architecture === "arm") return 7;
  return 1;
}

/** An index with one entry that names no platform is that entry. */
function soleUnnamed<T extends { readonly platform?: Platform }>(entries: readonly T[]): T | undefined {
  return entries.length === 1 && entries[0]?.platform === undefined ? entries[0] : undefined;
}
