import type { ContainerConfig, ContainerMount } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import type { ImageProcess } from "../core/image.ts";
import type { Spec, SpecLinux, SpecProcess } from "../core/oci-runtime-spec.ts";
import type { Pod } from "../core/pod.ts";
import { specAnnotations } from "./annotations.ts";
import { resolveCapabilities } from "./capabilities.ts";
import { commandLine, workingDirectory } from "./command.ts";
import {
  allDevices,
  type DeviceGrant,
  type DeviceNode,
  type FoundDevice,
  requestedDevices,
} from "./devices.ts";
import { buildEnvironment } from "./environment.ts";
import { apparmorProfile, type LsmFacts, selinuxLabels } from "./lsm.ts";
import { protectedPaths } from "./masked-paths.ts";
import { cleanContainerPath, defaultMounts, type MountPlan, planMounts, type PodFiles } from "./mounts.ts";
import { type PodPins, specIdMappings, specNamespaces } from "./namespaces.ts";
import { type CgroupFacts, oomScoreAdj, specResources } from "./resources.ts";
import { type SeccompFacts, type SeccompProfiles, seccompSection } from "./seccomp/section.ts";
import type { ResolvedUser } from "./user.ts";

/** What is true of the host for all containers. */
export interface HostFacts {
  readonly hostname: string;
  /** The daemon's bounding set, by name: what a container can have at most. */
  readonly capabilities: readonly string[];
  readonly cgroups: CgroupFacts;
  /** Options of the host's cgroup2 mount among `nsdelegate` and `memory_recursiveprot`. */
  readonly cgroupMountOptions: readonly string[];
  readonly lsm: LsmFacts;
  readonly seccomp: SeccompFacts;
}

/** Everything that a container's spec is made from; what had to be looked up is looked up. */
export interface ContainerSpecInput {
  readonly pod: Pod;
  readonly config: ContainerConfig;
  readonly image: ImageProcess;
  /** The image's name for people and annotations. */
  readonly imageName: string;
  readonly user: ResolvedUser;
  readonly devices: readonly FoundDevice[];
  /** Every device node of the host; read for a privileged container only. */
  readonly hostDevices: readonly DeviceNode[];
  readonly files: PodFiles;
  readonly pins: PodPins;
  /** /proc path of the target's pid namespace, for pid mode `target`. */
  readonly targetPid?: string;
  /** Ids of the images that volumes show. */
  readonly imageIds: ReadonlyMap<ContainerMount, string>;
  /** `<cgroup_parent>/<container id>`, from the hierarchies' roots. */
  readonly cgroupsPath: string;
  readonly profiles: SeccompProfiles;
  readonly host: HostFacts;
}

/**
 * The OCI runtime spec of a container: a pure function of its input. Throws `invalid-argument` for what the request says
 * wrong and `failed-precondition` for what this host cannot give; nothing asked for is silently weakened.
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md
 */
export function buildContainerSpec(input: ContainerSpecInput): Spec {
  const { config, pod, host } = input;
  const { security } = config;
  if (security.privileged && !pod.config.security.privileged) {
    throw new RuntimeError("invalid-argument", `privileged: pod ${pod.id} is not privileged`);
  }
  const process = buildProcess(input);
  return {
    ociVersion: "1.2.0",
    root: { path: "rootfs", readonly: security.readonlyRootfs },
    process,
    mounts: mountPlan(input).mounts,
    annotations: specAnnotations(pod, { name: config.metadata.name, imageName: input.imageName }),
    linux: buildLinux(input, process, selinuxLabels(security, pod.config.security, host.lsm)?.mount),
  };
}

/**
 * The volumes of the image's config that no mount of the request takes: folders to make in the rootfs, cleaned so that
 * none leaves it (CVE-2022-23648). One at `/`, `/proc`, `/sys` or `/dev` is dropped: it would hide the runtime's own.
 */
export function imageVolumePaths(image: ImageProcess, config: ContainerConfig): readonly string[] {
  const taken = new Set(config.mounts.map(({ containerPath }) => cleanContainerPath(containerPath)));
  const volumes = image.volumes.filter((path) => path !== "" && !path.includes("\0")).map(cleanContainerPath);
  return [...new Set(volumes)]
    .filter((path) => !taken.has(path) && !/^\/((proc|sys|dev)(\/.*)?)?$/.test(path))
    .toSorted();
}

function buildProcess(input: ContainerSpecInput): SpecProcess {
  const { config, image, user, pod, host } = input;
  const { security } = config;
  const apparmor = apparmorProfile(security, host.lsm);
  const labels = selinuxLabels(security, pod.config.security, host.lsm);
  return {
    ...(config.tty ? { terminal: true } : {}),
    user: { uid: user.uid, gid: user.gid, additionalGids: user.supplementalGroups },
    args: commandLine(config, image),
    env: buildEnvironment({
      image: image.env,
      request: config.envs,
      hostname: pod.config.hostname === "" ? host.hostname : pod.config.hostname,
      home: user.home,
      tty: config.tty,
    }),
    cwd: workingDirectory(config, image),
    capabilities: resolveCapabilities({
      change: security.capabilities,
      privileged: security.privileged,
      bounding: host.capabilities,
    }),
    noNewPrivileges: security.noNewPrivs,
    oomScoreAdj: oomScoreAdj(config.resources),
    ...(apparmor === undefined ? {} : { apparmorProfile: apparmor }),
    ...(labels === undefined ? {} : { selinuxLabel: labels.process }),
  };
}

function buildLinux(
  input: ContainerSpecInput,
  process: SpecProcess,
  mountLabel: string | undefined,
): SpecLinux {
  const { config, pod, host } = input;
  const { security } = config;
  const grant = deviceGrant(input);
  const paths = protectedPaths(security);
  const { rootfsPropagation } = mountPlan(input);
  const seccomp = seccompSection(
    security,
    input.profiles,
    host.seccomp,
    process.capabilities?.bounding ?? [],
  );
  return {
    namespaces: specNamespaces({
      podId: pod.id,
      pod: pod.config.security.namespaces,
      container: security.namespaces,
      pins: input.pins,
      ...(input.targetPid === undefined ? {} : { targetPid: input.targetPid }),
      cgroupVersion: host.cgroups.version,
      privileged: security.privileged,
    }),
    // Beside the pinned namespace's path: the rootfs is id-mapped by them.
    ...idMappings(pod),
    cgroupsPath: input.cgroupsPath,
    resources: specResources(config.resources, host.cgroups, grant.rules),
    ...(grant.devices.length === 0 ? {} : { devices: grant.devices }),
    ...(rootfsPropagation === undefined ? {} : { rootfsPropagation }),
    ...(seccomp === undefined ? {} : { seccomp }),
    maskedPaths: paths.masked,
    readonlyPaths: paths.readonly,
    ...(mountLabel === undefined ? {} : { mountLabel }),
  };
}

/** The mappings of the pod's user namespace, where it has one. */
function idMappings(pod: Pod): Pick<SpecLinux, "uidMappings" | "gidMappings"> {
  const { user } = pod.config.security.namespaces;
  if (user.mode !== "pod") return {};
  return { uidMappings: specIdMappings(user.uids), gidMappings: specIdMappings(user.gids) };
}

function mountPlan(input: ContainerSpecInput): MountPlan {
  const { config, pod, host } = input;
  const { privileged, readonlyRootfs } = config.security;
  const namespaces = pod.config.security.namespaces;
  return planMounts({
    defaults: defaultMounts({
      privileged,
      bindSys: namespaces.network === "node" && namespaces.user.mode === "pod",
      cgroupOptions: host.cgroups.version === 2 && privileged ? host.cgroupMountOptions : [],
    }),
    files: input.files,
    readonlyRootfs,
    mounts: config.mounts,
    imageIds: input.imageIds,
    idMappings: idMappings(pod),
  });
}

function deviceGrant(input: ContainerSpecInput): DeviceGrant {
  return input.config.security.privileged
    ? allDevices(input.hostDevices, input.devices)
    : requestedDevices(input.devices);
}
