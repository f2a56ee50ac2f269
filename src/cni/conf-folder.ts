import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import { isErrno } from "../sys/index.ts";
import {
  parseConfList,
  parsePluginConf,
  parseSingleConf,
  pluginsFolder,
  type NetworkConf,
  type PluginConf,
} from "./conf.ts";
import { FolderWatch } from "./folder-watch.ts";

/** A file of the folder that could not be used. */
export interface BadConf {
  readonly file: string;
  /** Names the file, and the line where there is one. */
  readonly reason: string;
}

/** What the folder holds. */
export interface LoadedConf {
  /** Every good file's network, in the order of the files' names: the first is that of all pods. */
  readonly networks: readonly NetworkConf[];
  /** The first good file; absent where there is none. */
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

/** Bytes of one file. */
const maxConfBytes = 1024 * 1024;

/** Reads a folder of CNI configurations, each file by itself. A folder that is not there is empty. */
export async function loadConfFolder(folder: string): Promise<LoadedConf> {
  const bad: BadConf[] = [];
  const networks: NetworkConf[] = [];
  let first: string | undefined;
  for (const name of await listConfFiles(folder, bad)) {
    const file = join(folder, name);
    try {
      networks.push(await loadConfFile(file));
      first ??= file;
    } catch (error) {
      bad.push({ file, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { networks, ...(first === undefined ? {} : { file: first }), bad };
}

/** The folder, kept up to date; reading never waits. */
export class ConfFolder implements AsyncDisposable {
  readonly #folder: string;
  readonly #onChange: (loaded: LoadedConf) => void;
  readonly #watch: FolderWatch;
  #loaded: LoadedConf = { networks: [], bad: [] };
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  /** Loads once, then watches. `onChange` is called when what is loaded has changed, at first from nothing. */
  static async open(folder: string, onChange: (loaded: LoadedConf) => void): Promise<ConfFolder> {
    const opened = new ConfFolder(folder, onChange);
    await opened.reload();
    return opened;
  }

  private constructor(folder: string, onChange: (loaded: LoadedConf) => void) {
    this.#folder = folder;
    this.#onChange = onChange;
    this.#watch = new FolderWatch(folder, () => void this.reload());
  }

  /** The network that new pods get; throws `failed-precondition` with what {@link status} says where there is none. */
  current(): NetworkConf {
    const [network] = this.#loaded.networks;
    if (network !== undefined) return network;
    throw new RuntimeError("failed-precondition", `network is not ready: ${this.status().message}`);
  }

  /** Every network of the folder; of two with one name the first counts. */
  networks(): ReadonlyMap<string, NetworkConf> {
    const byName = new Map<string, NetworkConf>();
    for (const network of this.#loaded.networks) {
      if (!byName.has(network.name)) byName.set(network.name, network);
    }
    return byName;
  }

  status(): NetworkStatus {
    const bad = this.#loaded.bad.map(({ reason }) => reason).join("; ");
    if (this.#loaded.networks.length > 0) {
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
    this.#watch[Symbol.dispose]();
    await this.#reading;
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
  const text = await readSmall(file);
  if (extname(file) !== ".conflist") return parseSingleConf(text, file);
  const folder = pluginsFolder(text, file);
  return parseConfList(
    text,
    file,
    folder === undefined ? [] : await loadPlugins(join(dirname(file), folder)),
  );
}

/** The plugins in the folder that is named as a network, a `.conf` file each; a folder that is not there has none. */
async function loadPlugins(folder: string): Promise<PluginConf[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, "ENOENT") || isErrno(error, "ENOTDIR")) return [];
    throw error;
  });
  const files = names
    .filter((name) => extname(name) === ".conf")
    .sort()
    .map((name) => join(folder, name));
  return Promise.all(files.map(async (file) => parsePluginConf(await readSmall(file), file)));
}

async function readSmall(file: string): Promise<string> {
  const { size } = await stat(file);
  if (size > maxConfBytes) {
    throw new RuntimeError("invalid-argument", `${file}: more than ${maxConfBytes} bytes`);
  }
  return readFile(file, "utf8");
}
