import type { IdMapping, NamespaceMode, NamespaceOptions, UserNamespace } from "../../core/namespaces.ts";
import type {
  ApparmorChoice,
  ContainerSecurityContext,
  SecurityContext,
  SecurityProfile,
  SelinuxOptions,
} from "../../core/security.ts";
import type { IDMapping__Output } from "../types/runtime/v1/IDMapping.ts";
import type { Int64Value__Output } from "../types/runtime/v1/Int64Value.ts";
import type { LinuxContainerSecurityContext__Output } from "../types/runtime/v1/LinuxContainerSecurityContext.ts";
import type { LinuxSandboxSecurityContext__Output } from "../types/runtime/v1/LinuxSandboxSecurityContext.ts";
import type { NamespaceOption__Output } from "../types/runtime/v1/NamespaceOption.ts";
import type { NamespaceOption } from "../types/runtime/v1/NamespaceOption.ts";
import type { SELinuxOption__Output } from "../types/runtime/v1/SELinuxOption.ts";
import type { SecurityProfile__Output } from "../types/runtime/v1/SecurityProfile.ts";
import type { UserNamespace__Output } from "../types/runtime/v1/UserNamespace.ts";
import { hostPath, invalid, oneOf, plainText, requiredText, userOrGroupId } from "./fields.ts";

const modes: Readonly<Record<string, NamespaceMode>> = {
  POD: "pod",
  CONTAINER: "container",
  NODE: "node",
  TARGET: "target",
};

const modeNames = { pod: "POD", container: "CONTAINER", node: "NODE", target: "TARGET" } as const;

const noNamespaceOptions: NamespaceOptions = {
  network: "pod",
  pid: "pod",
  ipc: "pod",
  user: { mode: "node" },
};

/** The security context of a pod; an absent one is the CRI's zero values. */
export function podSecurityFromProto(
  field: string,
  proto: LinuxSandboxSecurityContext__Output | null,
): SecurityContext {
  return {
    namespaces: namespacesFromProto(`${field}.namespace_options`, proto?.namespace_options ?? null),
    privileged: proto?.privileged ?? false,
    readonlyRootfs: proto?.readonly_rootfs ?? false,
    ...identity(field, proto),
    supplementalGroupsPolicy: groupsPolicy(field, proto?.supplemental_groups_policy ?? "Merge"),
    seccomp: seccompFromProto(`${field}.seccomp`, proto?.seccomp ?? null, proto?.seccomp_profile_path ?? ""),
    apparmor: apparmorFromProto(`${field}.apparmor`, proto?.apparmor ?? null, ""),
    ...selinux(`${field}.selinux_options`, proto?.selinux_options ?? null),
  };
}

/** The security context of a container; an absent one is the CRI's zero values. */
export function containerSecurityFromProto(
  field: string,
  proto: LinuxContainerSecurityContext__Output | null,
): ContainerSecurityContext {
  const capabilities = proto?.capabilities ?? null;
  return {
    namespaces: namespacesFromProto(`${field}.namespace_options`, proto?.namespace_options ?? null),
    privileged: proto?.privileged ?? false,
    readonlyRootfs: proto?.readonly_rootfs ?? false,
    ...identity(field, proto),
    ...(proto !== null && proto.run_as_username !== ""
      ? { runAsUsername: plainText(`${field}.run_as_username`, proto.run_as_username) }
      : {}),
    supplementalGroupsPolicy: groupsPolicy(field, proto?.supplemental_groups_policy ?? "Merge"),
    seccomp: seccompFromProto(`${field}.seccomp`, proto?.seccomp ?? null, proto?.seccomp_profile_path ?? ""),
    apparmor: apparmorFromProto(`${field}.apparmor`, proto?.apparmor ?? null, proto?.apparmor_profile ?? ""),
    ...selinux(`${field}.selinux_options`, proto?.selinux_options ?? null),
    capabilities: {
      add: capabilities?.add_capabilities ?? [],
      drop: capabilities?.drop_capabilities ?? [],
      addAmbient: capabilities?.add_ambient_capabilities ?? [],
    },
    noNewPrivs: proto?.no_new_privs ?? false,
    maskedPaths: paths(`${field}.masked_paths`, proto?.masked_paths ?? []),
    readonlyPaths: paths(`${field}.readonly_paths`, proto?.readonly_paths ?? []),
  };
}

/** The namespace choices as PodSandboxStatus shows them. */
export function namespacesToProto(options: NamespaceOptions): NamespaceOption {
  return {
    network: modeNames[options.network],
    pid: modeNames[options.pid],
    ipc: modeNames[options.ipc],
    target_id: options.targetId ?? "",
    userns_options:
      options.user.mode === "node"
        ? { mode: "NODE", uids: [], gids: [] }
        : {
            mode: "POD",
            uids: options.user.uids.map(idMappingToProto),
            gids: options.user.gids.map(idMappingToProto),
          },
  };
}

/** Reads id mappings, in the pod's user namespace or of a mount. */
export function idMappingsFromProto(field: string, mappings: readonly IDMapping__Output[]): IdMapping[] {
  if (mappings.length > maxMappings) invalid(field, `${mappings.length} mappings: at most ${maxMappings}`);
  const read = mappings.map((mapping, index) => {
    const { container_id: containerId, host_id: hostId, length } = mapping;
    if (length === 0) invalid(`${field}[${index}].length`, "is 0");
    if (Math.max(containerId, hostId) + length > idsEnd)
      invalid(`${field}[${index}]`, "goes beyond the last id");
    return { containerId, hostId, length };
  });
  for (const side of ["containerId", "hostId"] as const) {
    const inOrder = read.toSorted((one, other) => one[side] - other[side]);
    const overlap = inOrder.some(
      (one, index) => one[side] + one.length > (inOrder[index + 1]?.[side] ?? idsEnd),
    );
    if (overlap) invalid(field, "mappings overlap");
  }
  return read;
}

/** Lines that the kernel takes of a map (user_namespaces(7)). */
const maxMappings = 340;

/** (uid_t)-1 is nobody's. */
const idsEnd = 2 ** 32 - 1;

function idMappingToProto(mapping: IdMapping): { host_id: number; container_id: number; length: number } {
  return { host_id: mapping.hostId, container_id: mapping.containerId, length: mapping.length };
}

function namespacesFromProto(field: string, proto: NamespaceOption__Output | null): NamespaceOptions {
  if (proto === null) return noNamespaceOptions;
  const network = oneOf(`${field}.network`, proto.network, modes);
  const ipc = oneOf(`${field}.ipc`, proto.ipc, modes);
  const pid = oneOf(`${field}.pid`, proto.pid, modes);
  if (network !== "pod" && network !== "node")
    invalid(`${field}.network`, `${proto.network} is not possible`);
  if (ipc !== "pod" && ipc !== "node") invalid(`${field}.ipc`, `${proto.ipc} is not possible`);
  if (pid === "target" && proto.target_id === "")
    invalid(`${field}.target_id`, "missing with pid mode TARGET");
  return {
    network,
    pid,
    ipc,
    ...(pid === "target" ? { targetId: proto.target_id } : {}),
    user: userNamespaceFromProto(`${field}.userns_options`, proto.userns_options),
  };
}

/** Exactly one mapping of each kind, covering id 0 (KEP-127). */
function userNamespaceFromProto(field: string, proto: UserNamespace__Output | null): UserNamespace {
  if (proto === null) return { mode: "node" };
  const mode = oneOf(`${field}.mode`, proto.mode, modes);
  if (mode === "node") {
    if (proto.uids.length + proto.gids.length > 0) invalid(field, "has mappings with mode NODE");
    return { mode };
  }
  // An options message that says nothing has the zero mode, POD, and no mappings: it asks for nothing.
  if (mode === "pod" && proto.uids.length === 0 && proto.gids.length === 0) return { mode: "node" };
  if (mode !== "pod") invalid(`${field}.mode`, `${proto.mode} is not possible`);
  const read = (name: "uids" | "gids"): readonly IdMapping[] => {
    const count = proto[name].length;
    if (count !== 1) invalid(`${field}.${name}`, `exactly one mapping is possible, not ${count}`);
    const mappings = idMappingsFromProto(`${field}.${name}`, proto[name]);
    if (mappings[0]?.containerId !== 0) invalid(`${field}.${name}`, "the mapping must cover id 0");
    return mappings;
  };
  return { mode, uids: read("uids"), gids: read("gids") };
}

interface IdentityFields {
  readonly run_as_user: Int64Value__Output | null;
  readonly run_as_group: Int64Value__Output | null;
  readonly supplemental_groups: readonly string[];
}

function identity(
  field: string,
  proto: IdentityFields | null,
): Pick<SecurityContext, "runAsUser" | "runAsGroup" | "supplementalGroups"> {
  const user = proto?.run_as_user ?? null;
  const group = proto?.run_as_group ?? null;
  return {
    ...(user === null ? {} : { runAsUser: userOrGroupId(`${field}.run_as_user`, user.value) }),
    ...(group === null ? {} : { runAsGroup: userOrGroupId(`${field}.run_as_group`, group.value) }),
    supplementalGroups: (proto?.supplemental_groups ?? []).map((id, index) =>
      userOrGroupId(`${field}.supplemental_groups[${index}]`, id),
    ),
  };
}

function groupsPolicy(field: string, value: string | number): "merge" | "strict" {
  return oneOf(`${field}.supplemental_groups_policy`, value, { Merge: "merge", Strict: "strict" } as const);
}

function profileFromProto(field: string, proto: SecurityProfile__Output): SecurityProfile {
  const kind = oneOf(`${field}.profile_type`, proto.profile_type, {
    RuntimeDefault: "runtime-default",
    Unconfined: "unconfined",
    Localhost: "localhost",
  } as const);
  if (kind !== "localhost") return { kind };
  return { kind, ref: requiredText(`${field}.localhost_ref`, proto.localhost_ref) };
}

/** The deprecated text form that older clients send. */
function profileFromText(field: string, text: string): SecurityProfile {
  if (text === "runtime/default" || text === "docker/default") return { kind: "runtime-default" };
  if (text === "unconfined") return { kind: "unconfined" };
  if (text.startsWith("localhost/")) return { kind: "localhost", ref: text.slice("localhost/".length) };
  return invalid(field, `unknown profile ${JSON.stringify(text)}`);
}

/** No seccomp profile at all means none, as the kubelet and the other runtimes have it. */
function seccompFromProto(
  field: string,
  proto: SecurityProfile__Output | null,
  text: string,
): SecurityProfile {
  const profile =
    proto !== null
      ? profileFromProto(field, proto)
      : text !== ""
        ? profileFromText(`${field}_profile_path`, text)
        : ({ kind: "unconfined" } as const);
  if (profile.kind === "localhost") hostPath(`${field}.localhost_ref`, profile.ref);
  return profile;
}

function apparmorFromProto(
  field: string,
  proto: SecurityProfile__Output | null,
  text: string,
): ApparmorChoice {
  if (proto !== null) {
    const profile = profileFromProto(field, proto);
    if (profile.kind !== "localhost") return profile;
    // Some clients keep the prefix of the deprecated form, and the other runtimes take it.
    const name = profile.ref.replace(/^localhost\//, "");
    return { kind: "localhost", ref: requiredText(`${field}.localhost_ref`, name) };
  }
  return text === "" ? { kind: "unspecified" } : profileFromText(`${field}_profile`, text);
}

function selinux(field: string, proto: SELinuxOption__Output | null): { readonly selinux?: SelinuxOptions } {
  if (proto === null || (proto.user === "" && proto.role === "" && proto.type === "" && proto.level === "")) {
    return {};
  }
  const part = (name: "user" | "role" | "type" | "level", letters: RegExp): string =>
    letters.test(proto[name])
      ? proto[name]
      : invalid(`${field}.${name}`, `${JSON.stringify(proto[name])} is not part of a label`);
  return {
    selinux: {
      user: part("user", labelPart),
      role: part("role", labelPart),
      type: part("type", labelPart),
      level: part("level", labelLevel),
    },
  };
}

const labelPart = /^[A-Za-z0-9_.-]*$/;
const labelLevel = /^[A-Za-z0-9_.,:-]*$/;

function paths(field: string, values: readonly string[]): readonly string[] {
  return values.map((value, index) => hostPath(`${field}[${index}]`, value));
}
