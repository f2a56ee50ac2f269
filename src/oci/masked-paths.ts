import type { ContainerSecurityContext } from "../core/security.ts";

/** What the kubelet masks where `procMount` is Default (kubernetes pkg/securitycontext, 1.36). */
const defaultMaskedPaths: readonly string[] = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/interrupts",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];

const defaultReadonlyPaths: readonly string[] = [
  "/proc/bus",
  "/proc/fs",
  "/proc/irq",
  "/proc/sys",
  "/proc/sysrq-trigger",
];

/** Paths hidden from, or read-only in, a container. */
export interface ProtectedPaths {
  readonly masked: readonly string[];
  readonly readonly: readonly string[];
}

/**
 * The request's lists, none for a privileged container. Both lists empty has two readings that the wire cannot tell apart: a
 * kubelet's `procMount: Unmasked`, and a client such as crictl that said nothing. Kubernetes admits Unmasked in pods with a
 * user namespace alone, so there empty is none; elsewhere the kubelet's defaults apply. (containerd 2 reads both as none.)
 */
export function protectedPaths(security: ContainerSecurityContext): ProtectedPaths {
  if (security.privileged) return { masked: [], readonly: [] };
  const saysNothing = security.maskedPaths.length === 0 && security.readonlyPaths.length === 0;
  if (saysNothing && security.namespaces.user.mode === "node") {
    return { masked: defaultMaskedPaths, readonly: defaultReadonlyPaths };
  }
  return { masked: security.maskedPaths, readonly: security.readonlyPaths };
}
