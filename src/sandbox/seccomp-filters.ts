import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { RuntimeError } from "../core/errors.ts";
import type { SpecSeccomp } from "../core/oci-runtime-spec.ts";
import type { ContainerSecurityContext } from "../core/security.ts";
import {
  defaultProfile,
  maxSeccompProfileBytes,
  parseSeccompProfile,
  type SeccompProfile,
  type SeccompProfiles,
} from "../oci/index.ts";
import type { SeccompCompiler } from "../sys/index.ts";

/** A compiled filter as the shim loads it. */
export interface SeccompFilterFile {
  readonly path: string;
  readonly flags: readonly string[];
}

/** What the filters are made from and by. */
export interface SeccompFiltersDeps {
  /** Folder, 0700, that holds one file a filter. */
  readonly folder: string;
  /** The file that RuntimeDefault means; empty is the built-in profile. */
  readonly defaultProfile: string;
  readonly compiler: SeccompCompiler;
}

/** Reads the profiles that requests name, and compiles each once, however many containers use it. */
export class SeccompFilters {
  readonly #deps: SeccompFiltersDeps;
  /** One file a filter that containers were made with since the daemon started. */
  readonly #written = new Map<string, Promise<void>>();

  constructor(deps: SeccompFiltersDeps) {
    this.#deps = deps;
  }

  /** What a container's seccomp choice can mean; `invalid-argument` names a profile that is wrong. */
  async profiles(security: ContainerSecurityContext): Promise<SeccompProfiles> {
    const file = this.#deps.defaultProfile;
    const runtimeDefault = file === "" ? defaultProfile : await readProfile(file);
    return security.seccomp.kind === "localhost"
      ? { runtimeDefault, localhost: await readProfile(security.seccomp.ref) }
      : { runtimeDefault };
  }

  /** The compiled form of a spec's `linux.seccomp`, as a file that the shim reads. */
  async filter(profile: SpecSeccomp | undefined): Promise<SeccompFilterFile | undefined> {
    if (profile === undefined) return undefined;
    const { key, bpf } = this.#deps.compiler.compile(profile);
    const path = `${this.#deps.folder}/${key}.bpf`;
    let written = this.#written.get(key);
    if (written === undefined) {
      written = writeWhole(path, bpf);
      this.#written.set(key, written);
      written.catch(() => this.#written.delete(key));
    }
    await written;
    return { path, flags: profile.flags ?? [] };
  }
}

/** A file that is there whole or not at all, whenever the daemon ends. */
async function writeWhole(path: string, bytes: Buffer): Promise<void> {
  await writeFile(`${path}.new`, bytes, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function readProfile(file: string): Promise<SeccompProfile> {
  let text: string;
  try {
    const status = await stat(file);
    if (!status.isFile()) throw new Error("not a regular file");
    // Whoever wrote a longer one gets the parser's own words about it.
    text =
      status.size > maxSeccompProfileBytes
        ? " ".repeat(maxSeccompProfileBytes + 1)
        : await readFile(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RuntimeError("invalid-argument", `seccomp profile ${file}: ${reason}`, { cause: error });
  }
  return parseSeccompProfile(text, `seccomp profile ${file}`);
}
