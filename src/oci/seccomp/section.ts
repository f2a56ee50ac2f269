import { RuntimeError } from "../../core/errors.ts";
import type { SpecSeccomp } from "../../core/oci-runtime-spec.ts";
import type { ContainerSecurityContext } from "../../core/security.ts";
import { applyProfile, type KernelRelease, type MachineArch, type SeccompProfile } from "./profile.ts";

/** What the host can do with filters. */
export interface SeccompFacts {
  readonly supported: boolean;
  readonly arch: MachineArch;
  readonly kernel: KernelRelease;
}

/** The profiles that a request can name. */
export interface SeccompProfiles {
  /** The operator's own, or {@link defaultProfile}. */
  readonly runtimeDefault: SeccompProfile;
  /** Read from the file that a `localhost` request names. */
  readonly localhost?: SeccompProfile;
}

/** `linux.seccomp`; undefined for a privileged or unconfined container. A host without seccomp is `failed-precondition`. */
export function seccompSection(
  security: ContainerSecurityContext,
  profiles: SeccompProfiles,
  host: SeccompFacts,
  bounding: readonly string[],
): SpecSeccomp | undefined {
  // Kubernetes documents privileged containers as unconfined, whatever their profile.
  if (security.privileged || security.seccomp.kind === "unconfined") return undefined;
  if (!host.supported) {
    throw new RuntimeError("failed-precondition", "seccomp: the host's kernel has no seccomp filters");
  }
  const profile = security.seccomp.kind === "localhost" ? profiles.localhost : profiles.runtimeDefault;
  if (profile === undefined) {
    throw new RuntimeError("internal", "seccomp: the localhost profile was not read");
  }
  return applyProfile(profile, { bounding, arch: host.arch, kernel: host.kernel });
}
