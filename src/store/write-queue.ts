import type { Batch } from "./database.ts";

/** Callers' batches that become one at most; where it fails, each is written again by itself. */
const maxCoalesced = 64;

/** Writes a batch, all or nothing; `sync` has it on the disk before this resolves. */
export type IssueBatch = (batch: Batch, sync: boolean) => Promise<void>;

interface Waiting {
  readonly batch: Batch;
  readonly sync: boolean;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Keeps writes in the order of their calls: LevelDB takes batches on threads, which may overtake each other. One is in
 * flight at a time, issued in the tick of its call where nothing is; what comes meanwhile becomes the next one.
 */
export class WriteQueue {
  readonly #issue: IssueBatch;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(issue: IssueBatch) {
    this.#issue = issue;
  }

  /** Settles with the batch; a failure is of this one alone, never of another's that was written with it. */
  write(batch: Batch, sync: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, sync, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Waits until nothing is in flight. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#writeTogether(this.#waiting.splice(0, maxCoalesced));
    this.#running = undefined;
  }

  async #writeTogether(members: readonly Waiting[]): Promise<void> {
    try {
      await this.#issue(
        members.flatMap(({ batch }) => batch),
        members.some(({ sync }) => sync),
      );
      for (const { resolve } of members) resolve();
    } catch (error) {
      if (members.length === 1) members[0]?.reject(error);
      // In order still, as the next batch waits for all of them.
      else for (const member of members) await this.#writeTogether([member]);
    }
  }
}
