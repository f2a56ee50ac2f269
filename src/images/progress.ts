import type { Digest } from "../core/digest.ts";
import type { Descriptor } from "./documents.ts";

/** How far one layer of a pull is. */
export interface LayerProgress {
  readonly digest: Digest;
  /** The registry's host or the mirror that sends it; empty before it is known. */
  readonly host: string;
  readonly sizeBytes: number;
  readonly receivedBytes: number;
  /** Since the download began; 0 before. */
  readonly bytesPerSecond: number;
  /** `shared`: it was here already, or another pull fetches it. */
  readonly stage: "shared" | "downloading" | "done";
}

/** Follows the layers of one pull. */
export interface Progress {
  started(digest: Digest): void;
  received(digest: Digest, bytes: number, host: string): void;
  finished(digest: Digest): void;
  /** A line for each layer that was downloaded. */
  summary(): readonly string[];
}

/** Starts to follow; `onProgress` gets a fresh list with every change. */
export function createProgress(
  layers: readonly Descriptor[],
  onProgress: ((layers: readonly LayerProgress[]) => void) | undefined,
): Progress {
  const states = new Map<Digest, LayerProgress>();
  const times = new Map<Digest, Span>();
  for (const { digest, size } of layers) {
    states.set(digest, {
      digest,
      host: "",
      sizeBytes: size,
      receivedBytes: 0,
      bytesPerSecond: 0,
      stage: "shared",
    });
  }
  const change = (digest: Digest, part: Partial<LayerProgress>): void => {
    const state = states.get(digest);
    if (state === undefined) return;
    states.set(digest, { ...state, ...part });
    onProgress?.([...states.values()]);
  };
  return {
    started: (digest) => {
      times.set(digest, { from: performance.now() });
      change(digest, { receivedBytes: 0, bytesPerSecond: 0, stage: "downloading" });
    },
    received: (digest, receivedBytes, host) => {
      const seconds = secondsOf(times.get(digest));
      change(digest, { host, receivedBytes, bytesPerSecond: Math.round(receivedBytes / seconds) });
    },
    finished: (digest) => {
      const time = times.get(digest);
      if (time !== undefined) time.to = performance.now();
      change(digest, { stage: "done" });
    },
    summary: () =>
      [...times].map(([digest, time]) => {
        const { host, receivedBytes = 0 } = states.get(digest) ?? {};
        const seconds = secondsOf(time);
        const rate = (receivedBytes / seconds / 1e6).toFixed(1);
        return `layer ${digest}: ${receivedBytes} bytes from ${host ?? ""} in ${seconds.toFixed(2)} s, ${rate} MB/s`;
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
