import { editSpec, hostPathsOf, requestedDevices, type DeviceSpecs } from "../cdi/index.ts";
import type { Container, ContainerConfig, ContainerMount } from "../core/container.ts";
import type { Image } from "../core/image.ts";
import { maxAccountFileBytes } from "../core/limits.ts";
import type { Spec } from "../core/oci-runtime-spec.ts";
import type { Pod } from "../core/pod.ts";
import type { HookFiles } from "../hooks/index.ts";
import type { ImageStore } from "../images/index.ts";
import {
  buildContainerSpec,
  imageVolumePaths,
  resolveUser,
  type HostFacts,
  type ResolvedUser,
  type SeccompProfiles,
} from "../oci/index.ts";
import { findDevice, findHostNodes, listHostDevices } from "./host-devices.ts";
import type { Inventory } from "./inventory.ts";
import type { PodPaths, StatePaths } from "./paths.ts";
import { podNamespaces } from "./pods/namespaces.ts";

/** What looking things up for a spec needs. */
export interface ContainerSpecsDeps {
  readonly images: ImageStore;
  readonly inventory: Inventory;
  readonly paths: StatePaths;
  readonly host: HostFacts;
  readonly cgroupOf: (container: Container) => string;
  readonly devices: DeviceSpecs;
  readonly hooks: HookFiles;
}

/** A spec, and what the shim does beyond it. */
export interface BuiltSpec {
  readonly spec: Spec;
  /** Folders of the rootfs that are made, and stay writable where the root is not. */
  readonly imageVolumes: readonly string[];
  /** Host paths that are made as folders where they are missing, as other runtimes do. */
  readonly createSources: readonly string[];
  /** Host paths that get the label of the container's files, where the host has labels. */
  readonly relabelSources: readonly string[];
  /** For the job, such as spec files of devices that could not be used. */
  readonly warnings: readonly string[];
}

/** An image's account files, as text; absent is no such file. */
interface AccountFiles {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

/** Images whose account files are kept in memory; most have a few hundred bytes of them. */
const maxKnownAccounts = 64;

/** Looks up what a container's spec is made from; the making itself is pure and lies in src/oci. */
export class ContainerSpecs {
  readonly #deps: ContainerSpecsDeps;
  readonly #accounts = new Map<string, AccountFiles>();

  constructor(deps: ContainerSpecsDeps) {
    this.#deps = deps;
  }

  /** The user of a container's first process, by the image's own account files. */
  async resolveUser(image: Image, config: ContainerConfig): Promise<ResolvedUser> {
    const { security } = config;
    const { passwd, group } = await this.#accountFiles(image);
    return resolveUser({
      imageUser: image.process.user,
      supplementalGroups: security.supplementalGroups,
      policy: security.supplementalGroupsPolicy,
      ...(passwd === undefined ? {} : { passwd }),
      ...(group === undefined ? {} : { group }),
      ...(security.runAsUser === undefined ? {} : { runAsUser: security.runAsUser }),
      ...(security.runAsGroup === undefined ? {} : { runAsGroup: security.runAsGroup }),
      ...(security.runAsUsername === undefined ? {} : { runAsUsername: security.runAsUsername }),
    });
  }

  /** The spec of a container; `profiles` are what its seccomp choice can mean, `imageIds` the images of its volumes. */
  async build(
    pod: Pod,
    container: Container,
    image: Image,
    user: ResolvedUser,
    profiles: SeccompProfiles,
    imageIds: ReadonlyMap<ContainerMount, string>,
  ): Promise<BuiltSpec> {
    const { config } = container;
    const paths = this.#deps.paths.pod(pod.id);
    const sharesIpc = pod.config.security.namespaces.ipc === "pod";
    const targetPid = this.#targetPid(config);
    const spec = buildContainerSpec({
      pod,
      config,
      image: image.process,
      imageName: config.userSpecifiedImage === "" ? config.image : config.userSpecifiedImage,
      user,
      devices: await Promise.all(config.devices.map(findDevice)),
      hostDevices: config.security.privileged ? await listHostDevices() : [],
      files: {
        hosts: paths.hosts,
        hostname: paths.hostname,
        resolvConf: paths.resolvConf,
        shm: sharesIpc ? paths.shm : "/dev/shm",
      },
      pins: podNamespaces(paths, pod.config).pins,
      ...(targetPid === undefined ? {} : { targetPid }),
      imageIds,
      cgroupsPath: this.#deps.cgroupOf(container),
      profiles,
      host: this.#deps.host,
    });
    const { spec: withDevices, warnings } = await this.#addDevices(spec, config);
    const hasBindMounts = config.mounts.some(({ image: of }) => of === undefined);
    const annotations = { ...pod.config.annotations, ...config.annotations, ...spec.annotations };
    return {
      spec: await this.#deps.hooks.add(withDevices, { annotations, hasBindMounts }),
      warnings,
      imageVolumes: imageVolumePaths(image.process, config),
      createSources: config.mounts
        .filter(({ image: of }) => of === undefined)
        .map(({ hostPath }) => hostPath),
      relabelSources: spec.linux?.mountLabel === undefined ? [] : relabelled(config, paths, sharesIpc),
    };
  }

  async #addDevices(spec: Spec, config: ContainerConfig): Promise<Pick<BuiltSpec, "spec" | "warnings">> {
    const names = requestedDevices(config.cdiDevices, config.annotations);
    if (names.length === 0) return { spec, warnings: [] };
    const { edits, warnings } = await this.#deps.devices.resolve(names);
    return { spec: editSpec(spec, edits, await findHostNodes(hostPathsOf(edits))), warnings };
  }

  /** Read once for an image, whose content never changes. */
  async #accountFiles(image: Image): Promise<AccountFiles> {
    const known = this.#accounts.get(image.id);
    if (known !== undefined) return known;
    const [passwd, group] = await Promise.all([
      this.#accountFile(image, "/etc/passwd"),
      this.#accountFile(image, "/etc/group"),
    ]);
    const [oldest] = this.#accounts.keys();
    if (this.#accounts.size >= maxKnownAccounts && oldest !== undefined) this.#accounts.delete(oldest);
    const files = { passwd, group };
    this.#accounts.set(image.id, files);
    return files;
  }

  async #accountFile(image: Image, path: string): Promise<string | undefined> {
    const bytes = await this.#deps.images.readImageFile(image, path, maxAccountFileBytes);
    return bytes?.toString("utf8");
  }

  #targetPid(config: ContainerConfig): string | undefined {
    const { targetId } = config.security.namespaces;
    if (targetId === undefined) return undefined;
    const { state } = this.#deps.inventory.container(targetId).record;
    return state.state === "running" ? `/proc/${state.pid}/ns/pid` : undefined;
  }
}

/** Volumes whose request says so, and the pod's own files; never what else of the host is mounted (CVE-2021-43816). */
function relabelled({ mounts }: ContainerConfig, paths: PodPaths, sharesIpc: boolean): readonly string[] {
  const volumes = mounts.filter(({ image, selinuxRelabel }) => image === undefined && selinuxRelabel);
  return [
    ...volumes.map(({ hostPath }) => hostPath),
    ...[paths.hosts, paths.hostname, paths.resolvConf],
    ...(sharesIpc ? [paths.shm] : []),
  ];
}
