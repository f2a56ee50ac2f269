import { mkdir, readFile, writeFile } from "node:fs/promises";
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
 * which would be most of the file; and `exec.json`, so that an exec reads only what it needs.
 */
export async function writeBundle(
  paths: ContainerPaths,
  spec: Spec,
  filter: SeccompFilterFile | undefined,
): Promise<void> {
  const { process, linux } = spec;
  if (process === undefined) throw new RuntimeError("internal", `${paths.spec}: the spec has no process`);
  const { seccomp: _compiled, ...rest } = linux ?? {};
  const template: ExecTemplate = { process, ...(filter === undefined ? {} : { seccompFilter: filter }) };
  await mkdir(paths.folder, { mode: 0o700 });
  await Promise.all([
    writeFile(paths.spec, JSON.stringify({ ...spec, linux: rest }), { mode: 0o600 }),
    writeFile(paths.execTemplate, JSON.stringify(template), { mode: 0o600 }),
  ]);
}

/** Reads what an exec starts from. */
export async function readExecTemplate(paths: ContainerPaths): Promise<ExecTemplate> {
  return JSON.parse(await readFile(paths.execTemplate, "utf8")) as ExecTemplate;
}
