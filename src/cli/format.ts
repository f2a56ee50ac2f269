const secondsPer = { d: 86_400, h: 3_600, m: 60 } as const;

/** Nanoseconds since the epoch, as the contract carries them, in milliseconds. */
export function milliseconds(nanoseconds: string): number {
  return Number(BigInt(nanoseconds) / 1_000_000n);
}

/** How long ago something was, in the largest unit that leaves a number of two digits or so: `45s`, `5m`, `3d`. */
export function age(nanoseconds: string, now: number): string {
  if (nanoseconds === "0") return "";
  const seconds = Math.max(0, Math.floor((now - milliseconds(nanoseconds)) / 1000));
  if (seconds >= 2 * secondsPer.d) return `${Math.floor(seconds / secondsPer.d)}d`;
  if (seconds >= 2 * secondsPer.h) return `${Math.floor(seconds / secondsPer.h)}h`;
  if (seconds >= 2 * secondsPer.m) return `${Math.floor(seconds / secondsPer.m)}m`;
  return `${seconds}s`;
}

/** A duration in nanoseconds: `3 ms`, `1.2 s`, `4m10s`. */
export function duration(nanoseconds: bigint): string {
  const ms = Number(nanoseconds) / 1e6;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1_000) return `${ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)}m${Math.floor((ms % 60_000) / 1_000)}s`;
}

/** Bytes in decimal units, as registries and disks count: `4.3 MB`. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit] ?? ""}`;
}

/** As many digits of an id as people need; a digest loses its algorithm. */
export function shortId(id: string): string {
  return id.replace(/^sha256:/, "").slice(0, 13);
}

/** A point in time in RFC 3339 with milliseconds. */
export function time(nanoseconds: string): string {
  return nanoseconds === "0" ? "" : new Date(milliseconds(nanoseconds)).toISOString();
}
