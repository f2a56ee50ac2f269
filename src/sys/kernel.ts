import { release } from "node:os";

/** The numbers at the start of a kernel release such as `6.1.0-18-amd64`. */
export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
  /** The whole text of uname(2)'s `release`. */
  readonly release: string;
}

/** The running kernel's version. */
export function kernelVersion(): KernelVersion {
  return parseKernelRelease(release());
}

/** Reads a release; what has no two leading numbers counts as 0.0, older than anything asked for. */
export function parseKernelRelease(text: string): KernelVersion {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return { major: Number(match?.[1] ?? 0), minor: Number(match?.[2] ?? 0), release: text };
}

/** True where the version is `major.minor` or newer. */
export function isAtLeast(version: KernelVersion, major: number, minor: number): boolean {
  return version.major > major || (version.major === major && version.minor >= minor);
}
