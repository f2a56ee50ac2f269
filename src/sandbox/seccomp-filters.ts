import { createHash } from "node:crypto";
import { mkdir, readFile, rename, stat, writeFile } from "node:fs/promises";
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

/** A compiled filter as the shim loads it. */
export interface SeccompFilter {
  readonly path: string;
  readonly flags: readonly string[];
}

/** What the filters are made from and by. */
export interface SeccompFiltersDeps {
  /** Folder, 0700, that holds one file a filter. */
  readonly folder: string;
  /** The file that RuntimeDefault means; empty is the built-in profile. */
  readonly defaultProfile: string;
  /** libseccomp: a profile to an array of `struct sock_filter`. */
  readonly compile: (profile: SpecSeccomp) => Buffer;
}

/** Reads the profiles that requests name, and compiles each once, however many containers use it. */
export class SeccompFilters {
  readonly #deps: SeccompFiltersDeps;
  readonly #compiled = new Map<string, Promise<SeccompFilter>>();

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

  /** The compiled form of a spec's `linux.seccomp`. */
  async filter(profile: SpecSeccomp | undefined): Promise<SeccompFilter | undefined> {
    if (profile === undefined) return undefined;
    const key = createHash("sha256").update(JSON.stringify(profile)).digest("hex");
    let filter = this.#compiled.get(key);
    if (filter === undefined) {
      filter = this.#write(key, profile);
      this.#compiled.set(key, filter);
      filter.catch(() => this.#compiled.delete(key));
    }
    return filter;
  }

  async #write(key: string, profile: SpecSeccomp): Promise<SeccompFilter> {
    const path = `${this.#deps.folder}/${key}.bpf`;
    await mkdir(this.#deps.folder, { recursive: true, mode: 0o700 });
    await writeFile(`${path}.new`, this.#deps.compile(profile), { mode: 0o600 });
    await rename(`${path}.new`, path);
    return { path, flags: profile.flags ?? [] };
  }
}

async function readProfile(file: string): Promise<SeccompProfile> {
  let text: string;
  try {
    const { size } = await stat(file);
    // Whoever wrote a longer one gets the parser's own words about it.
    text =
      size > maxSeccompProfileBytes ? " ".repeat(maxSeccompProfileBytes + 1) : await readFile(file, "utf8");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RuntimeError("invalid-argument", `seccomp profile ${file}: ${reason}`, { cause: error });
  }
  return parseSeccompProfile(text, `seccomp profile ${file}`);
}
