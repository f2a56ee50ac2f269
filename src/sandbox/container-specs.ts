import { readdir, stat } from "node:fs/promises";
import { constants, type Stats } from "node:fs";
import type { Container, ContainerConfig, ContainerDevice, ContainerMount } from "../core/container.ts";
import type { Image } from "../core/image.ts";
import { RuntimeError } from "../core/errors.ts";
import { maxAccountFileBytes } from "../core/limits.ts";
import type { Spec } from "../core/oci-runtime-spec.ts";
import type { Pod } from "../core/pod.ts";
import type { ImageStore } from "../images/index.ts";
import {
  buildContainerSpec,
  imageVolumePaths,
  resolveUser,
  type DeviceNode,
  type FoundDevice,
  type HostFacts,
  type ResolvedUser,
  type SeccompProfiles,
} from "../oci/index.ts";
import type { Inventory } from "./inventory.ts";
import type { StatePaths } from "./paths.ts";
import { podNamespaces } from "./pods/namespaces.ts";

/** What looking things up for a spec needs. */
export interface ContainerSpecsDeps {
  readonly images: ImageStore;
  readonly inventory: Inventory;
  readonly paths: StatePaths;
  readonly host: HostFacts;
  readonly cgroupOf: (container: Container) => string;
}

/** A spec, and what the shim does beyond it. */
export interface BuiltSpec {
  readonly spec: Spec;
  /** Folders of the rootfs that are made, and stay writable where the root is not. */
  readonly imageVolumes: readonly string[];
  /** Host paths that are made as folders where they are missing, as other runtimes do. */
  readonly createSources: readonly string[];
}

/** An image's account files, as text; absent is no such file. */
interface AccountFiles {
  readonly passwd: string | undefined;
  readonly group: string | undefined;
}

/** Images whose account files are kept in memory; most have a few hundred bytes of them. */
const maxKnownAccounts = 64;

/** Devices found below one requested folder; more is a mistake. */
const maxDevicesPerFolder = 1024;

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
    const [cdiDevice] = config.cdiDevices;
    if (cdiDevice !== undefined) {
      throw new RuntimeError("unimplemented", `CDI_devices: ${cdiDevice}: CDI devices are not supported`);
    }
    const spec = buildContainerSpec({
      pod,
      config,
      image: image.process,
      imageName: config.userSpecifiedImage === "" ? config.image : config.userSpecifiedImage,
      user,
      devices: await Promise.all(config.devices.map(findDevice)),
      hostDevices: config.security.privileged ? await listDevices("/dev", "/dev") : [],
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
    return {
      spec,
      imageVolumes: imageVolumePaths(image.process, config),
      createSources: config.mounts
        .filter(({ image: of }) => of === undefined)
        .map(({ hostPath }) => hostPath),
    };
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

/** A device of the request: the node itself, or every node below a folder. */
async function findDevice(request: ContainerDevice): Promise<FoundDevice> {
  const status = await stat(request.hostPath).catch((error: unknown) => {
    throw new RuntimeError("invalid-argument", `devices: ${request.hostPath} cannot be read`, {
      cause: error,
    });
  });
  if (status.isDirectory()) return { request, nodes: await listDevices(request.hostPath, request.hostPath) };
  const node = deviceNode(request.hostPath, status);
  return { request, nodes: node === undefined ? [] : [node] };
}

/** Device nodes below a folder of /dev, without those of other mounts' own file systems. */
async function listDevices(folder: string, root: string): Promise<DeviceNode[]> {
  const found: DeviceNode[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (found.length >= maxDevicesPerFolder) break;
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (root !== "/dev" || !["pts", "shm", "mqueue", "fd", ".lxc"].includes(entry.name)) {
        found.push(...(await listDevices(path, root)));
      }
    } else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const node = deviceNode(path, await stat(path));
      if (node !== undefined) found.push(node);
    }
  }
  return found;
}

/** The major and minor numbers of a `dev_t`, as makedev(3) packs them. */
function deviceNode(hostPath: string, status: Stats): DeviceNode | undefined {
  if (!status.isCharacterDevice() && !status.isBlockDevice()) return undefined;
  const device = BigInt(status.rdev);
  return {
    hostPath,
    type: status.isCharacterDevice() ? "c" : "b",
    major: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn)),
    minor: Number((device & 0xffn) | ((device >> 12n) & ~0xffn)),
    fileMode: status.mode & ~constants.S_IFMT,
    uid: status.uid,
    gid: status.gid,
  };
}
