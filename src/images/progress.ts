import type { Digest } from "../core/digest.ts";
import type { Descriptor } from "./documents.ts";

/** How far one layer of a pull is. */
export interface LayerProgress {
  readonly digest: Digest;
  readonly host: string;
  readonly sizeBytes: number;
  readonly receivedBytes: number;
  /** `shared`: it was here already, or another pull fetches it. */
  readonly stage: "shared" | "downloading" | "done";
}

/** Follows the layers of one pull. */
export interface Progress {
  received(digest: Digest, bytes: number): void;
  finished(digest: Digest): void;
  /** A line for each layer that was downloaded. */
  summary(): readonly string[];
}

/** Starts to follow; `onProgress` gets a fresh list with every change. */
export function createProgress(
  layers: readonly Descriptor[],
  host: string,
  onProgress: ((layers: readonly LayerProgress[]) => void) | undefined,
): Progress {
  const states = new Map<Digest, LayerProgress>();
  const times = new Map<Digest, { readonly from: number; to?: number }>();
  for (const { digest, size } of layers) {
    states.set(digest, { digest, host, sizeBytes: size, receivedBytes: 0, stage: "shared" });
  }
  const change = (digest: Digest, part: Partial<LayerProgress>): void => {
    const state = states.get(digest);
    if (state === undefined) return;
    states.set(digest, { ...state, ...part });
    onProgress?.([...states.values()]);
  };
  return {
    received: (digest, receivedBytes) => {
      if (receivedBytes === 0) times.set(digest, { from: Date.now() });
      change(digest, { receivedBytes, stage: "downloading" });
    },
    finished: (digest) => {
      const time = times.get(digest);
      if (time !== undefined) time.to = Date.now();
      change(digest, { stage: "done" });
    },
    summary: () =>
      [...times].map(([digest, { from, to }]) => {
        const seconds = ((to ?? Date.now()) - from) / 1000;
        return `layer ${digest}: ${states.get(digest)?.receivedBytes ?? 0} bytes from ${host} in ${seconds.toFixed(2)} s`;
      }),
  };
}
