import type { Image } from "../core/image.ts";
import type { Job } from "../core/job.ts";
import type { ImageStore, Owners } from "../images/index.ts";
import type { JobJournal } from "../store/index.ts";
import type { ContainerEntry, Inventory } from "./inventory.ts";

/** What images and containers become outside of the store needs. */
export interface ArchivesDeps {
  readonly images: ImageStore;
  readonly inventory: Inventory;
  readonly jobs: JobJournal;
}

/** What a caller says of an image that is made here. */
export interface NewImageText {
  readonly reference: string;
  readonly author: string;
  readonly message: string;
  /** In a Dockerfile's words. */
  readonly changes: readonly string[];
}

/** Takes the next bytes of an archive; resolves when more may come. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/** How long a shim may take to hold its container still, and to let it go on. */
const freezeTimeoutMs = 10_000;

/** Archives of images and of containers, and images made of them: each a job, which ends with its caller. */
export class Archives {
  readonly #deps: ArchivesDeps;

  constructor(deps: ArchivesDeps) {
    this.#deps = deps;
  }

  /** Writes images as one archive; see ImageStore.save. */
  async save(names: readonly string[], sink: Sink, signal: AbortSignal): Promise<void> {
    const subject = names.join(" ");
    await this.#run("SaveImages", subject, signal, async (job, ended) => {
      await job.stage("write", () => drain(this.#deps.images.save(names, ended), sink));
    });
  }

  /** Writes a container's tree. */
  async export(text: string, sink: Sink, signal: AbortSignal): Promise<void> {
    const entry = this.#deps.inventory.container(text);
    await this.#run("ExportContainer", entry.id, signal, async (job, ended) => {
      const archive = this.#deps.images.exportContainer(entry.id, ownersOf(entry), ended);
      await job.stage("write", () => drain(archive, sink));
    });
  }

  /** Makes an image of a container, which holds still meanwhile unless it is told to run on. */
  async commit(
    text: string,
    image: NewImageText,
    meanwhile: "paused" | "running",
    signal: AbortSignal,
  ): Promise<Image> {
    const entry = this.#deps.inventory.container(text);
    const owners = ownersOf(entry);
    return await this.#run("CommitContainer", entry.id, signal, (job, ended) =>
      this.#deps.images.commitContainer({
        ...image,
        containerId: entry.id,
        imageId: entry.record.imageId,
        ...(owners && { owners }),
        pause: () => (meanwhile === "paused" ? pause(entry, job) : Promise.resolve(goOn)),
        job,
        signal: ended,
      }),
    );
  }

  /** Makes an image of a root file system's archive. */
  async importRootfs(
    stream: AsyncIterable<Uint8Array>,
    image: NewImageText,
    signal: AbortSignal,
  ): Promise<Image> {
    return await this.#run("ImportRootfs", image.reference, signal, (job, ended) =>
      this.#deps.images.importRootfs({ ...image, stream, job, signal: ended }),
    );
  }

  async #run<T>(
    kind: string,
    subject: string,
    signal: AbortSignal,
    work: (job: Job, ended: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return await this.#deps.jobs.run({ kind, subject, kept: "journal" }, signal, (job) =>
      work(job, AbortSignal.any([job.signal, signal])),
    );
  }
}

async function drain(archive: AsyncIterable<Uint8Array>, sink: Sink): Promise<void> {
  for await (const chunk of archive) await sink(chunk);
}

/** The user namespace in whose host ids a container's files are kept. */
function ownersOf({ pod }: ContainerEntry): Owners | undefined {
  const { user } = pod.record.config.security.namespaces;
  return user.mode === "pod" ? { uids: user.uids, gids: user.gids } : undefined;
}

const goOn = (): Promise<void> => Promise.resolve();

/** Holds a running container still; where that fails its files are read as they change, and the job says so. */
async function pause(entry: ContainerEntry, job: Job): Promise<() => Promise<void>> {
  const { shim } = entry;
  if (entry.record.state.state !== "running" || shim === undefined) return goOn;
  const wait = { timeoutMs: freezeTimeoutMs };
  const resume = async (): Promise<void> => {
    try {
      await shim.resume(wait);
    } catch (thrown) {
      // It may have ended meanwhile, or never have held still.
      if (entry.shim === shim) job.note(`container ${entry.id} was not let go on: ${String(thrown)}`);
    }
  };
  try {
    await shim.pause(wait);
    return resume;
  } catch (thrown) {
    job.note(`container ${entry.id} runs on while its files are read: ${String(thrown)}`);
    await resume();
    return goOn;
  }
}
