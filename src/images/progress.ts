import type { Digest } from "../core/digest.ts";
import type { PartProgress } from "../core/job.ts";

/**
 * Where a layer's transfer is. `ready`: it was here, or there, already, or somebody else brought it.
 *
 * ```
 *            ┌──► ready
 *   waiting ─┤
 *            └──► transferring ──► finishing ──► done
 * ```
 */
export type TransferStage = "waiting" | "transferring" | "finishing" | "done" | "ready";

/** A layer of a pull or a push, as far as following it needs. */
export interface Part {
  readonly digest: Digest;
  readonly size: number;
}

/** Follows the layers of one pull or push. */
export interface Progress {
  started(digest: Digest): void;
  moved(digest: Digest, bytes: number, peer: string): void;
  /** All bytes have come or gone; what is left is to unpack or to confirm them. */
  transferred(digest: Digest): void;
  /** The layer is where it is wanted. */
  landed(digest: Digest): void;
  /** A line for each layer that was transferred. */
  summary(): readonly string[];
}

/** Least time between two reports of bytes; changes of a stage are reported at once. */
const minReportMs = 100;

/** Starts to follow; `onProgress` gets a fresh list now, with every change of a stage, and now and then between. */
export function createProgress(
  direction: "from" | "to",
  parts: readonly Part[],
  onProgress: ((parts: readonly PartProgress[]) => void) | undefined,
): Progress {
  const states = new Map<Digest, PartProgress & { readonly stage: TransferStage }>();
  const times = new Map<Digest, Span>();
  let reportedAt = 0;
  for (const { digest, size } of parts) {
    const nothing = { peer: "", doneBytes: 0, totalBytes: size, bytesPerSecond: 0 };
    states.set(digest, { name: digest, stage: "waiting", ...nothing });
  }
  const report = (): void => {
    reportedAt = performance.now();
    onProgress?.([...states.values()]);
  };
  const change = (digest: Digest, part: Partial<PartProgress & { readonly stage: TransferStage }>): void => {
    const state = states.get(digest);
    if (state === undefined) return;
    states.set(digest, { ...state, ...part });
    if (part.stage !== undefined || performance.now() - reportedAt >= minReportMs) report();
  };
  report();
  return {
    started: (digest) => {
      times.set(digest, { from: performance.now() });
      change(digest, { doneBytes: 0, bytesPerSecond: 0, stage: "transferring" });
    },
    moved: (digest, doneBytes, peer) => {
      const seconds = secondsOf(times.get(digest));
      change(digest, { peer, doneBytes, bytesPerSecond: Math.round(doneBytes / seconds) });
    },
    transferred: (digest) => {
      const time = times.get(digest);
      if (time !== undefined) time.to = performance.now();
      change(digest, { stage: "finishing" });
    },
    landed: (digest) => {
      change(digest, { stage: times.has(digest) ? "done" : "ready" });
    },
    summary: () =>
      [...times].map(([digest, time]) => {
        const { peer, doneBytes = 0 } = states.get(digest) ?? {};
        const seconds = secondsOf(time);
        const rate = (doneBytes / seconds / 1e6).toFixed(1);
        return `layer ${digest}: ${doneBytes} bytes ${direction} ${peer ?? ""} in ${seconds.toFixed(2)} s, ${rate} MB/s`;
      }),
  };
}

interface Span {
  readonly from: number;
  to?: number;
}

/** At least a millisecond, so that it can be divided by. */
function secondsOf(span: Span | undefined): number {
  return Math.max((span?.to ?? performance.now()) - (span?.from ?? 0), 1) / 1000;
}
