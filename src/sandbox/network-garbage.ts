import type { PodNetworks } from "../cni/index.ts";
import { asRuntimeError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { JobJournal } from "../store/index.ts";

/** What collecting the networks' garbage needs. */
export interface NetworkGarbageDeps {
  readonly networks: Pick<PodNetworks, "collectGarbage">;
  readonly jobs: Pick<JobJournal, "run">;
  readonly logger: Logger;
}

/** Time between two collections, in milliseconds. */
export const garbageIntervalMs = 3_600_000;
/** How long one collection may take, in milliseconds. */
const garbageTimeoutMs = 300_000;

/** Collects the networks' garbage now and every hour, each time as a job, until it is disposed of. */
export function startNetworkGarbage({ networks, jobs, logger }: NetworkGarbageDeps): AsyncDisposable {
  const closing = new AbortController();
  let collecting: Promise<void> = Promise.resolve();
  const collect = async (): Promise<void> => {
    // One that still runs is joined.
    const request = {
      kind: "CollectNetworkGarbage",
      subject: "cni",
      key: "cni garbage",
      kept: "journal",
    } as const;
    await jobs.run(request, closing.signal, (job) => {
      const signals = [job.signal, closing.signal, AbortSignal.timeout(garbageTimeoutMs)];
      return networks.collectGarbage(job, AbortSignal.any(signals));
    });
  };
  const start = (): void => {
    collecting = collect().catch((thrown: unknown) => {
      if (closing.signal.aborted) return;
      logger.warn("garbage of networks is not all collected", { error: asRuntimeError(thrown).message });
    });
  };
  const timer = setInterval(start, garbageIntervalMs).unref();
  start();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      closing.abort();
      await collecting;
    },
  };
}
