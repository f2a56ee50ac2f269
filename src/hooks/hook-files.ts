import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { asRuntimeError, RuntimeError } from "../core/errors.ts";
import type { Spec, SpecHook, SpecHooks } from "../core/oci-runtime-spec.ts";
import { matches, parseHookFile, type HookFile, type HookStage, type HookSubject } from "./hook-file.ts";

/** Bytes of one file. */
const maxFileBytes = 64 * 1024;
/** Files of one folder. */
const maxFiles = 200;

/**
 * The hooks that the operator's files give to containers. The folders are read whenever a container is made; a file of a
 * later folder takes the place of one of the same name. A file that cannot be used is an error: a hook that somebody relies on
 * would not run.
 */
export class HookFiles {
  readonly #folders: readonly string[];

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  /** The spec with the hooks that it gets, by the names of their files, behind those that it has; `failed-precondition` names a bad file. */
  async add(spec: Spec, subject: Omit<HookSubject, "command">): Promise<Spec> {
    const paths = await this.#paths();
    if (paths.length === 0) return spec;
    const files = await Promise.all(paths.map(readHookFile));
    const command = spec.process?.args[0] ?? "";
    const chosen = files.filter((file) => file !== undefined && matches(file.when, { ...subject, command }));
    const hooks = chosen.reduce<SpecHooks>(
      (before, file) => file?.stages.reduce((all, stage) => addHook(all, stage, file.hook), before) ?? before,
      spec.hooks ?? {},
    );
    return chosen.length === 0 ? spec : { ...spec, hooks };
  }

  async #paths(): Promise<readonly string[]> {
    const byName = new Map<string, string>();
    for (const folder of this.#folders) {
      const names = (await readdir(folder).catch(emptyWhereMissing)).filter((name) => name.endsWith(".json"));
      if (names.length > maxFiles) {
        throw new RuntimeError("failed-precondition", `${folder}: more than ${maxFiles} hooks`);
      }
      for (const name of names) byName.set(name, join(folder, name));
    }
    return [...byName].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => path);
  }
}

function addHook(hooks: SpecHooks, stage: HookStage, hook: SpecHook): SpecHooks {
  return { ...hooks, [stage]: [...(hooks[stage] ?? []), hook] };
}

function emptyWhereMissing(error: unknown): string[] {
  if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
  throw error;
}

/** Undefined where the file has just gone. */
async function readHookFile(path: string): Promise<HookFile | undefined> {
  try {
    // A pipe of that name must not hang the container's creation.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = await file.stat();
    if (!status.isFile()) throw unusable("not a file");
    // It names a program that is run as root on the node.
    if (status.uid !== process.geteuid?.() || (status.mode & 0o022) !== 0) {
      throw unusable("others than the daemon's user may write it");
    }
    if (status.size > maxFileBytes) throw unusable(`larger than ${maxFileBytes} bytes`);
    return parseHookFile(await file.readFile("utf8"));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    const { message } = asRuntimeError(cause);
    throw new RuntimeError("failed-precondition", `hook ${path}: ${message}`, { cause });
  }
}

function unusable(why: string): RuntimeError {
  return new RuntimeError("failed-precondition", why);
}
