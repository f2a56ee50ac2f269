import { RuntimeError } from "../core/errors.ts";
import type { ContainerSecurityContext, SecurityContext, SelinuxOptions } from "../core/security.ts";

/** What the host's security modules offer. */
export interface LsmFacts {
  readonly apparmor: boolean;
  /** The loaded profile that `RuntimeDefault` means; absent is none. */
  readonly apparmorDefault?: string;
  readonly selinux: boolean;
}

/**
 * The AppArmor profile, undefined for none. A profile named on a host without AppArmor is `failed-precondition`; the
 * default one is then nothing, as the kubelet asks for it on every host by saying nothing.
 */
export function apparmorProfile(security: ContainerSecurityContext, host: LsmFacts): string | undefined {
  const profile = security.apparmor;
  switch (profile.kind) {
    case "unconfined":
      return undefined;
    case "runtime-default":
      return security.privileged || !host.apparmor ? undefined : host.apparmorDefault;
    case "localhost":
      if (host.apparmor) return profile.ref;
      throw new RuntimeError(
        "failed-precondition",
        `apparmor profile ${profile.ref}: the host has no AppArmor`,
      );
  }
}

/** A process's label and that of its files. */
export interface SelinuxLabels {
  readonly process: string;
  readonly mount: string;
}

/**
 * The labels of a container: its own options, else its pod's, with the reference policy's container types for what is
 * left open. Undefined for a privileged container and, as Kubernetes documents, on a host without SELinux.
 */
export function selinuxLabels(
  container: ContainerSecurityContext,
  pod: SecurityContext,
  host: LsmFacts,
): SelinuxLabels | undefined {
  if (!host.selinux || container.privileged) return undefined;
  const options = container.selinux ?? pod.selinux;
  const part = (name: keyof SelinuxOptions, fallback: string): string => {
    const text = options?.[name] ?? "";
    return text === "" ? fallback : text;
  };
  const user = part("user", "system_u");
  const level = part("level", "s0");
  const process = [user, part("role", "system_r"), part("type", "container_t"), level];
  return { process: process.join(":"), mount: [user, "object_r", "container_file_t", level].join(":") };
}
