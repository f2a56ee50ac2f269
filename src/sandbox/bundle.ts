import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { RuntimeError } from "../core/errors.ts";
import type { Spec, SpecProcess } from "../core/oci-runtime-spec.ts";
import type { ContainerPaths } from "./paths.ts";
import type { SeccompFilterFile } from "./seccomp-filters.ts";

/** What an exec starts from: the container's own process, and its filter. */
export interface ExecTemplate {
  readonly process: SpecProcess;
  readonly seccompFilter?: SeccompFilterFile;
}

/**
 * Writes a container's bundle: `config.json` for the shim, without `linux.seccomp`, which the filter stands for and
 * which would be most of the file; and `exec.json`, so that an exec reads only what it needs. Done at once: the files are
 * small, and the state folder is a tmpfs, which cannot hang.
 */
export function writeBundle(paths: ContainerPaths, spec: Spec, filter: SeccompFilterFile | undefined): void {
  const { process, linux } = spec;
  if (process === undefined) throw new RuntimeError("internal", `${paths.spec}: the spec has no process`);
  const { seccomp: _compiled, ...rest } = linux ?? {};
  const template: ExecTemplate = { process, ...(filter === undefined ? {} : { seccompFilter: filter }) };
  mkdirSync(paths.folder, { mode: 0o700 });
  writeFileSync(paths.spec, JSON.stringify({ ...spec, linux: rest }), { mode: 0o600 });
  writeFileSync(paths.execTemplate, JSON.stringify(template), { mode: 0o600 });
}

/** Reads what an exec starts from. */
export function readExecTemplate(paths: ContainerPaths): ExecTemplate {
  return JSON.parse(readFileSync(paths.execTemplate, "utf8")) as ExecTemplate;
}
