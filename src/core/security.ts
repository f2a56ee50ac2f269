import type { NamespaceOptions } from "./namespaces.ts";

/** A seccomp or AppArmor choice. */
export type SecurityProfile =
  | { readonly kind: "runtime-default" }
  | { readonly kind: "unconfined" }
  /** For seccomp an absolute path, for AppArmor the name of a loaded profile. */
  | { readonly kind: "localhost"; readonly ref: string };

/** An AppArmor choice; who says nothing gets the default profile where the host has one. */
export type ApparmorChoice = SecurityProfile | { readonly kind: "unspecified" };

/** An SELinux label, part by part; an empty part is left to the policy. */
export interface SelinuxOptions {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly level: string;
}

/** Whether the image's /etc/group adds to the supplemental groups that the request names (KEP-3619). */
export type SupplementalGroupsPolicy = "merge" | "strict";

/** What pods and containers have in common. */
export interface SecurityContext {
  readonly namespaces: NamespaceOptions;
  readonly privileged: boolean;
  readonly readonlyRootfs: boolean;
  /** 0 to 2^31-1. */
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly supplementalGroups: readonly number[];
  readonly supplementalGroupsPolicy: SupplementalGroupsPolicy;
  readonly seccomp: SecurityProfile;
  readonly apparmor: ApparmorChoice;
  readonly selinux?: SelinuxOptions;
}

/** Capability names with their `CAP_` prefix, or the single word `ALL`. */
export interface CapabilityChange {
  readonly add: readonly string[];
  readonly drop: readonly string[];
  readonly addAmbient: readonly string[];
}

/** What only a container has. */
export interface ContainerSecurityContext extends SecurityContext {
  readonly capabilities: CapabilityChange;
  readonly runAsUsername?: string;
  readonly noNewPrivs: boolean;
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}
