import type { SpecLinux } from "../../../core/oci-runtime-spec.ts";
import { failure, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";

const domains: Readonly<Record<string, number>> = { LINUX: 0, LINUX32: 8 };

/** personality(2): the execution domain that uname(2) shows; the spec defines no flag yet. */
export function setPersonality(wanted: NonNullable<SpecLinux["personality"]>): void {
  const domain = domains[wanted.domain];
  if (domain === undefined) {
    throw failure("invalid-argument", `linux.personality.domain: unknown ${wanted.domain}`);
  }
  const flag = (wanted.flags ?? [])[0];
  if (flag !== undefined) throw failure("invalid-argument", `linux.personality.flags: unknown ${flag}`);
  if (C.personality(domain) < 0) throw sysError("personality", wanted.domain);
}
