import type { CreatePodRequest } from "../../protocol/messages.ts";
import { CLONE } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";
import { namespaceOfSysctl, sysctlPath } from "../init/sysctls.ts";

/** A namespace of a pod, as the request names it. */
export type PodNamespace = keyof CreatePodRequest["pins"];

/** Name below /proc/pid/ns, and CLONE_* flag. The user namespace is joined, not made here. */
export const podNamespaces: Readonly<Record<PodNamespace, { readonly file: string; readonly flag: number }>> =
  {
    user: { file: "user", flag: 0 },
    network: { file: "net", flag: CLONE.NEWNET },
    ipc: { file: "ipc", flag: CLONE.NEWIPC },
    uts: { file: "uts", flag: CLONE.NEWUTS },
    // This process stays where it is; the namespace is that of its children.
    pid: { file: "pid_for_children", flag: CLONE.NEWPID },
  };

/** In the order in which they are made: the user namespace owns the others. */
export const allPodNamespaces: readonly PodNamespace[] = ["user", "network", "ipc", "uts", "pid"];

/** One file below /proc/sys. */
export interface SysctlWrite {
  /** As the request has it. */
  readonly name: string;
  readonly path: string;
  readonly value: string;
}

/** A request that was checked. */
export interface PodPlan {
  /** Those that are new, in the order in which they are made. */
  readonly namespaces: readonly PodNamespace[];
  readonly sysctls: readonly SysctlWrite[];
}

/** Checks what the request says; `invalid-argument` names what is wrong. Pure. */
export function planPod(request: CreatePodRequest): PodPlan {
  const namespaces = allPodNamespaces.filter((kind) => request.pins[kind] !== undefined);
  for (const kind of namespaces) {
    const path = request.pins[kind] ?? "";
    if (string.sub(path, 1, 1) !== "/") refuse(request, `pins.${kind}: ${path} is not absolute`);
  }
  const mapped = request.userMappings !== undefined;
  if (mapped !== namespaces.includes("user")) refuse(request, "pins.user and userMappings go together");
  if (mapped) checkMappings(request);
  if (namespaces.includes("pid") !== (request.cgroup !== undefined)) {
    refuse(request, "pins.pid and cgroup go together");
  }
  return { namespaces, sysctls: planSysctls(request) };
}

/** Root owns what is in the namespaces, so there has to be one. */
function checkMappings(request: CreatePodRequest): void {
  const { uids = [], gids = [] } = request.userMappings ?? {};
  for (const mappings of [uids, gids]) {
    if (!mappings.some((one) => one.containerID === 0)) refuse(request, "userMappings: 0 is not mapped");
  }
}

/** Only sysctls of namespaces that are the pod's own: all others are the host's (CVE-2022-0532, CVE-2022-0811). */
function planSysctls(request: CreatePodRequest): SysctlWrite[] {
  const writes: SysctlWrite[] = [];
  for (const [name, value] of pairs(request.sysctls)) {
    const path = sysctlPath(name);
    const kind = namespaceOfSysctl(path);
    if (kind === undefined) refuse(request, `linux.sysctls["${name}"]: is not of a namespace`);
    if (request.pins[kind as PodNamespace] === undefined) {
      refuse(request, `linux.sysctls["${name}"]: the ${kind} namespace is the host's`);
    }
    writes.push({ name, path, value });
  }
  return writes;
}

function refuse(request: CreatePodRequest, what: string): never {
  throw failure("invalid-argument", `pod ${request.id}: ${what}`);
}
