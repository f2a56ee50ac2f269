import { hasCode } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import { referenceToShow } from "../core/user-info.ts";
import type { ImageStore, RegistryAuth, SearchRequest, SearchResult } from "../images/index.ts";
import type { JobJournal } from "../store/index.ts";

/** Images, as the CRI's handlers see them: the store's, with jobs around changes. */
export class Images {
  readonly #store: ImageStore;
  readonly #jobs: JobJournal;

  constructor(store: ImageStore, jobs: JobJournal) {
    this.#store = store;
    this.#jobs = jobs;
  }

  /**
   * Pulls an image. Each call is a job of its own, since each has to be let in by the registry; layers are shared. When
   * the caller's deadline passes the pull goes on, so that its retry finds the layers further on or here; a caller that
   * takes its request back, as the kubelet does for a pod that was deleted, ends it.
   */
  async pull(reference: string, auth: RegistryAuth | undefined, signal: AbortSignal): Promise<Image> {
    return this.#jobs.run(
      { kind: "PullImage", subject: referenceToShow(reference), kept: "journal" },
      signal,
      async (job) => {
        const { image } = await this.#store.pull({
          reference,
          ...(auth === undefined ? {} : { auth }),
          job,
          onLayers: (look) => {
            job.progress(look);
          },
          signal: AbortSignal.any([job.signal, takenBack(signal)]),
        });
        return image;
      },
    );
  }

  /** Takes in the images of a tar archive. */
  async import(
    archive: AsyncIterable<Uint8Array>,
    reference: string,
    signal: AbortSignal,
  ): Promise<readonly Image[]> {
    return this.#jobs.run(
      { kind: "ImportImage", subject: referenceToShow(reference), kept: "journal" },
      signal,
      (job) =>
        this.#store.import({
          stream: archive,
          ...(reference === "" ? {} : { reference }),
          job,
          signal: AbortSignal.any([job.signal, signal]),
        }),
    );
  }

  /** Makes an image of the host's own binaries and the libraries that they need. */
  async fromHost(reference: string, binaries: readonly string[], signal: AbortSignal): Promise<Image> {
    return this.#jobs.run(
      { kind: "ImageFromHost", subject: referenceToShow(reference), kept: "journal" },
      signal,
      (job) =>
        this.#store.fromHost({
          name: reference,
          binaries,
          job,
          signal: AbortSignal.any([job.signal, signal]),
        }),
    );
  }

  /** Gives an image a further name. */
  async tag(source: string, target: string, signal: AbortSignal): Promise<Image> {
    const request = {
      kind: "TagImage",
      subject: referenceToShow(source),
      arguments: { target: referenceToShow(target) },
      kept: "journal",
    } as const;
    return this.#jobs.run(request, signal, () => this.#store.tag(source, target));
  }

  /** Sends an image to a registry; gives repository and digest. */
  async push(
    source: string,
    target: string,
    auth: RegistryAuth | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    const request = {
      kind: "PushImage",
      subject: referenceToShow(source),
      arguments: { target: referenceToShow(target) },
      kept: "journal",
    } as const;
    return this.#jobs.run(request, signal, (job) =>
      this.#store.push({
        source,
        ...(target === "" ? {} : { target }),
        ...(auth === undefined ? {} : { auth }),
        job,
        onLayers: (look) => {
          job.progress(look);
        },
        signal: AbortSignal.any([job.signal, signal]),
      }),
    );
  }

  /** Asks a registry for its repositories, or for the tags of one. */
  search(request: SearchRequest): Promise<SearchResult> {
    return this.#store.search(request);
  }

  /** Removes an image with all its names; layers that containers use stay until those are gone. */
  async remove(text: string, signal: AbortSignal): Promise<void> {
    await this.#jobs.run(
      { kind: "RemoveImage", subject: referenceToShow(text), kept: "journal" },
      signal,
      () => this.#store.remove(text),
    );
  }

  find(text: string): Image | undefined {
    return this.#store.resolve(text);
  }

  list(): readonly Image[] {
    return this.#store.list();
  }

  filesystemUsage(): ReturnType<ImageStore["filesystemUsage"]> {
    return this.#store.filesystemUsage();
  }
}

/** Aborts when a caller left by its own choice, not when its time was over. */
function takenBack(caller: AbortSignal): AbortSignal {
  const controller = new AbortController();
  caller.addEventListener(
    "abort",
    () => {
      if (!hasCode(caller.reason, "deadline-exceeded")) controller.abort(caller.reason);
    },
    { once: true },
  );
  return controller.signal;
}
