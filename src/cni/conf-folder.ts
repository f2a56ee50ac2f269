import { watch, type FSWatcher } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import { isErrno } from "../sys/index.ts";
import { parseConfList, parseSingleConf, type NetworkConf } from "./conf.ts";

/** A file of the folder that could not be used. */
export interface BadConf {
  readonly file: string;
  /** Names the file, and the line where there is one. */
  readonly reason: string;
}

/** What the folder holds. */
export interface LoadedConf {
  /** The first good file by name; absent where there is none. */
  readonly network?: NetworkConf;
  readonly file?: string;
  readonly bad: readonly BadConf[];
}

/** The network condition of the CRI's Status. */
export interface NetworkStatus {
  readonly ready: boolean;
  /** A word for machines; empty where ready. */
  readonly reason: string;
  /** Names bad files also where another one is good. */
  readonly message: string;
}

/** How often the folder is looked at where no event told of a change, in milliseconds. */
const pollIntervalMs = 5_000;
/** A change comes as several events: the folder is read once they stop for this long, in milliseconds. */
const quietTimeMs = 50;
/** Bytes of one file. */
const maxConfBytes = 1024 * 1024;

/** Reads a folder of CNI configurations: the first good file by name counts. A folder that is not there is empty. */
export async function loadConfFolder(folder: string): Promise<LoadedConf> {
  const bad: BadConf[] = [];
  for (const name of await listConfFiles(folder, bad)) {
    const file = join(folder, name);
    try {
      return { network: await loadConfFile(file), file, bad };
    } catch (error) {
      bad.push({ file, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { bad };
}

/** The folder, kept up to date; reading never waits. */
export class ConfFolder implements AsyncDisposable {
  readonly #folder: string;
  readonly #onChange: (loaded: LoadedConf) => void;
  #loaded: LoadedConf = { bad: [] };
  #watcher: FSWatcher | undefined;
  #poll: NodeJS.Timeout | undefined;
  #pending: NodeJS.Timeout | undefined;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  /** Loads once, then watches. `onChange` is called when what is loaded has changed, at first from nothing. */
  static async open(folder: string, onChange: (loaded: LoadedConf) => void): Promise<ConfFolder> {
    const opened = new ConfFolder(folder, onChange);
    opened.#watch();
    await opened.reload();
    opened.#poll = setInterval(() => {
      opened.#watch();
      void opened.reload();
    }, pollIntervalMs);
    opened.#poll.unref();
    return opened;
  }

  private constructor(folder: string, onChange: (loaded: LoadedConf) => void) {
    this.#folder = folder;
    this.#onChange = onChange;
  }

  /** The network that new pods get; throws `failed-precondition` with what {@link status} says where there is none. */
  current(): NetworkConf {
    if (this.#loaded.network !== undefined) return this.#loaded.network;
    throw new RuntimeError("failed-precondition", `network is not ready: ${this.status().message}`);
  }

  status(): NetworkStatus {
    const bad = this.#loaded.bad.map(({ reason }) => reason).join("; ");
    if (this.#loaded.network !== undefined) {
      return { ready: true, reason: "", message: bad === "" ? "" : `passed over: ${bad}` };
    }
    const message =
      bad === "" ? `no CNI configuration in ${this.#folder}` : `no good CNI configuration: ${bad}`;
    return { ready: false, reason: "NetworkPluginNotReady", message };
  }

  /** Reads the folder again now. */
  reload(): Promise<void> {
    this.#reading = this.#reading.then(async () => {
      const loaded = await loadConfFolder(this.#folder);
      if (this.#closed || JSON.stringify(loaded) === JSON.stringify(this.#loaded)) return;
      this.#loaded = loaded;
      this.#onChange(loaded);
    });
    return this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#poll);
    clearTimeout(this.#pending);
    this.#watcher?.close();
    await this.#reading;
  }

  /** Starts to watch where that isn't so yet: the folder may come later than the daemon, or be replaced. */
  #watch(): void {
    if (this.#watcher !== undefined) return;
    try {
      const watcher = watch(this.#folder, { persistent: false }, (event, name) => {
        // The folder itself was moved or deleted: the poll looks for a new one.
        if (event === "rename" && name === basename(this.#folder)) this.#unwatch();
        this.#reloadSoon();
      });
      watcher.on("error", () => {
        this.#unwatch();
      });
      this.#watcher = watcher;
    } catch {
      // Not there, or no watches left: the poll goes on.
      this.#watcher = undefined;
    }
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #reloadSoon(): void {
    clearTimeout(this.#pending);
    this.#pending = setTimeout(() => void this.reload(), quietTimeMs);
    this.#pending.unref();
  }
}

async function listConfFiles(folder: string, bad: BadConf[]): Promise<string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => [".conflist", ".conf", ".json"].includes(extname(name))).sort();
  } catch (error) {
    if (!isErrno(error, "ENOENT")) {
      bad.push({ file: folder, reason: error instanceof Error ? error.message : String(error) });
    }
    return [];
  }
}

async function loadConfFile(file: string): Promise<NetworkConf> {
  const { size } = await stat(file);
  if (size > maxConfBytes) {
    throw new RuntimeError("invalid-argument", `${file}: more than ${maxConfBytes} bytes`);
  }
  const text = await readFile(file, "utf8");
  return extname(file) === ".conflist" ? parseConfList(text, file) : parseSingleConf(text, file);
}
