import { RuntimeError } from "../core/errors.ts";
import type { ContainerSecurityContext, SecurityContext, SelinuxOptions } from "../core/security.ts";

/** What the host's security modules offer. */
export interface LsmFacts {
  readonly apparmor: boolean;
  /** The loaded profile that `RuntimeDefault` means; absent is none. */
  readonly apparmorDefault?: string;
  /** Why there is none on a host with AppArmor. */
  readonly apparmorProblem?: string;
  readonly selinux: boolean;
}

/**
 * The AppArmor profile, undefined for none. Who says nothing gets the default one where there is one; what is asked for
 * and cannot be had is `failed-precondition`.
 */
export function apparmorProfile(security: ContainerSecurityContext, host: LsmFacts): string | undefined {
  const profile = security.apparmor;
  switch (profile.kind) {
    case "unconfined":
      return undefined;
    case "unspecified":
      return security.privileged ? undefined : host.apparmorDefault;
    case "runtime-default":
      if (security.privileged) return undefined;
      return host.apparmorDefault ?? unavailable("RuntimeDefault", host);
    case "localhost":
      return host.apparmor ? profile.ref : unavailable(profile.ref, host);
  }
}

function unavailable(profile: string, { apparmor, apparmorProblem = "not loaded" }: LsmFacts): never {
  const reason = apparmor ? apparmorProblem : "the host has no AppArmor";
  throw new RuntimeError("failed-precondition", `apparmor profile ${profile}: ${reason}`);
}

/** A process's label and that of its files. */
export interface SelinuxLabels {
  readonly process: string;
  readonly mount: string;
}

/** What a type of the reference policy means that confines nothing. */
const unconfinedType = "spc_t";

/**
 * The labels of a container: its own options, else its pod's, with the reference policy's container types for what is
 * left open. Undefined for a privileged container. On a host without SELinux options are `failed-precondition`, but for
 * the type spc_t, which asks to be confined by nothing.
 */
export function selinuxLabels(
  container: ContainerSecurityContext,
  pod: SecurityContext,
  host: LsmFacts,
): SelinuxLabels | undefined {
  const options = container.selinux ?? pod.selinux;
  if (container.privileged) return undefined;
  if (!host.selinux) {
    if (options === undefined || options.type === unconfinedType) return undefined;
    throw new RuntimeError("failed-precondition", "selinux_options: the host has no SELinux");
  }
  const part = (name: keyof SelinuxOptions, fallback: string): string => {
    const text = options?.[name] ?? "";
    return text === "" ? fallback : text;
  };
  const user = part("user", "system_u");
  const level = part("level", "s0");
  const process = [user, part("role", "system_r"), part("type", "container_t"), level];
  return { process: process.join(":"), mount: [user, "object_r", "container_file_t", level].join(":") };
}
