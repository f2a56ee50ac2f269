import type { SpecCapabilities } from "../core/oci-runtime-spec.ts";
import type { CapabilityChange } from "../core/security.ts";
import { RuntimeError } from "../core/errors.ts";

/**
 * Every capability in the order of its number, 0 first.
 *
 * @see https://man7.org/linux/man-pages/man7/capabilities.7.html
 */
export const allCapabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_DAC_READ_SEARCH",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_LINUX_IMMUTABLE",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_BROADCAST",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_IPC_LOCK",
  "CAP_IPC_OWNER",
  "CAP_SYS_MODULE",
  "CAP_SYS_RAWIO",
  "CAP_SYS_CHROOT",
  "CAP_SYS_PTRACE",
  "CAP_SYS_PACCT",
  "CAP_SYS_ADMIN",
  "CAP_SYS_BOOT",
  "CAP_SYS_NICE",
  "CAP_SYS_RESOURCE",
  "CAP_SYS_TIME",
  "CAP_SYS_TTY_CONFIG",
  "CAP_MKNOD",
  "CAP_LEASE",
  "CAP_AUDIT_WRITE",
  "CAP_AUDIT_CONTROL",
  "CAP_SETFCAP",
  "CAP_MAC_OVERRIDE",
  "CAP_MAC_ADMIN",
  "CAP_SYSLOG",
  "CAP_WAKE_ALARM",
  "CAP_BLOCK_SUSPEND",
  "CAP_AUDIT_READ",
  "CAP_PERFMON",
  "CAP_BPF",
  "CAP_CHECKPOINT_RESTORE",
] as const;

/** What a container has that asks for nothing: the set that containerd, CRI-O and Docker agree on. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_FSETID",
  "CAP_KILL",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_NET_RAW",
  "CAP_SYS_CHROOT",
  "CAP_MKNOD",
  "CAP_AUDIT_WRITE",
  "CAP_SETFCAP",
];

const known: ReadonlySet<string> = new Set(allCapabilities);
const everything = "ALL";

/** The names of a set of bits as capget(2) and PR_CAPBSET_READ give it; a bit without a name is left out. */
export function capabilityNames(bits: bigint): readonly string[] {
  return allCapabilities.filter((_, number) => ((bits >> BigInt(number)) & 1n) === 1n);
}

/** What decides a container's capabilities. */
export interface CapabilityRequest {
  readonly change: CapabilityChange;
  readonly privileged: boolean;
  /** The daemon's own bounding set: nothing above it can be given. */
  readonly bounding: readonly string[];
}

/**
 * The five sets of a container. `ALL` is applied first, then single names, so that `add ALL, drop CHOWN` and
 * `drop ALL, add CHOWN` mean what they say. What the host lacks is left out, so that a privileged container starts there.
 * Inheritable is empty but for the ambient ones (CVE-2022-24769). An unknown name is `invalid-argument`.
 */
export function resolveCapabilities(request: CapabilityRequest): SpecCapabilities {
  const add = normalise("add_capabilities", request.change.add);
  const drop = normalise("drop_capabilities", request.change.drop);
  const ambientNames = normalise("add_ambient_capabilities", request.change.addAmbient);
  const chosen = new Set(request.privileged || add.has(everything) ? allCapabilities : defaultCapabilities);
  if (!request.privileged) {
    if (drop.has(everything)) chosen.clear();
    for (const name of add) chosen.add(name);
    for (const name of drop) chosen.delete(name);
    // An ambient capability must be permitted and inheritable too; asking for it asks for those.
    for (const name of ambientNames) chosen.add(name);
  }
  const held = new Set(request.bounding);
  const inOrder = allCapabilities.filter((name) => chosen.has(name) && held.has(name));
  const ambient = inOrder.filter((name) => ambientNames.has(name) || ambientNames.has(everything));
  return { bounding: inOrder, effective: inOrder, permitted: inOrder, inheritable: ambient, ambient };
}

function normalise(field: string, names: readonly string[]): ReadonlySet<string> {
  return new Set(
    names.map((name) => {
      const upper = name.toUpperCase();
      if (upper === everything) return everything;
      const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
      if (known.has(full)) return full;
      throw new RuntimeError("invalid-argument", `${field}: unknown capability ${JSON.stringify(name)}`);
    }),
  );
}
