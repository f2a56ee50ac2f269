import type { SpecSeccomp } from "../../../core/oci-runtime-spec.ts";
import { O } from "../../program/ffi/constants.ts";
import { close, open, writeAll } from "../../program/ffi/files.ts";
import type { Settings } from "../settings.ts";
import { compileFilter } from "./compile.ts";

/** A compiled filter in a file, as the shim takes it. */
export interface FilterFile {
  readonly path: string;
  readonly flags: readonly string[];
}

const fileMode = 0o600;

/** Compiles `linux.seccomp` into the file at `path`; undefined for a container without. */
export function prepareFilter(
  profile: SpecSeccomp | undefined,
  settings: Settings,
  path: string,
): FilterFile | undefined {
  if (profile === undefined) return undefined;
  const { code, unknownNames } = compileFilter(profile);
  if (unknownNames.length > 0) {
    settings.log.debug(`linux.seccomp: unknown calls, ignored: ${unknownNames.join(" ")}`);
  }
  const fd = open(path, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, fileMode);
  writeAll(fd, code, path);
  close(fd);
  return { path, flags: profile.flags ?? [] };
}
