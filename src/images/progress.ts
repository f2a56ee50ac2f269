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
  /** How far each is by now. */
  readonly parts: () => readonly PartProgress[];
  /** A line for each layer that was transferred. */
  summary(): readonly string[];
}

/** Starts to follow; only who looks pays for more than a few numbers. */
export function createProgress(direction: "from" | "to", layers: readonly Part[]): Progress {
  const states = new Map<Digest, State>();
  for (const { digest, size } of layers) {
    states.set(digest, { stage: "waiting", peer: "", doneBytes: 0, totalBytes: size });
  }
  const change = (digest: Digest, part: Partial<State>): void => {
    const state = states.get(digest);
    if (state !== undefined) Object.assign(state, part);
  };
  return {
    started: (digest) => {
      change(digest, { stage: "transferring", doneBytes: 0, from: performance.now() });
    },
    moved: (digest, doneBytes, peer) => {
      change(digest, { doneBytes, peer });
    },
    transferred: (digest) => {
      change(digest, { stage: "finishing", to: performance.now() });
    },
    landed: (digest) => {
      change(digest, { stage: states.get(digest)?.from === undefined ? "ready" : "done" });
    },
    parts: () =>
      [...states].map(([name, state]) => {
        const { stage, peer, doneBytes, totalBytes, from } = state;
        const bytesPerSecond = from === undefined ? 0 : Math.round(doneBytes / secondsOf(state));
        return { name, stage, peer, doneBytes, totalBytes, bytesPerSecond };
      }),
    summary: () =>
      [...states]
        .filter(([, { from }]) => from !== undefined)
        .map(([digest, state]) => {
          const { peer, doneBytes } = state;
          const seconds = secondsOf(state);
          const rate = (doneBytes / seconds / 1e6).toFixed(1);
          return `layer ${digest}: ${doneBytes} bytes ${direction} ${peer} in ${seconds.toFixed(2)} s, ${rate} MB/s`;
        }),
  };
}

interface State {
  stage: TransferStage;
  peer: string;
  doneBytes: number;
  readonly totalBytes: number;
  from?: number;
  to?: number;
}

/** At least a millisecond, so that it can be divided by. */
function secondsOf({ from = 0, to = performance.now() }: State): number {
  return Math.max(to - from, 1) / 1000;
}
