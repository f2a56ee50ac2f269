import type { ContainerId, PodId } from "../core/ids.ts";

/** Where network namespaces are pinned: agents such as Multus look here (ip-netns(8)). */
export const netnsFolder = "/run/netns";

/** Where everything of pods and containers lies that does not outlive a reboot; pure. */
export class StatePaths {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** A tmpfs of Berth's own, unbindable, so that a pod that mounts /run keeps no pin alive. */
  get pins(): string {
    return `${this.root}/pins`;
  }

  get pods(): string {
    return `${this.root}/pods`;
  }

  get containers(): string {
    return `${this.root}/containers`;
  }

  get launcher(): string {
    return `${this.root}/launcher`;
  }

  get seccomp(): string {
    return `${this.root}/seccomp`;
  }

  /** The files of a pod and where its namespaces are pinned. */
  pod(id: PodId): PodPaths {
    const folder = `${this.pods}/${id}`;
    return {
      folder,
      hosts: `${folder}/hosts`,
      hostname: `${folder}/hostname`,
      resolvConf: `${folder}/resolv.conf`,
      shm: `${folder}/shm`,
      network: `${netnsFolder}/berth-${id}`,
      ipc: `${this.pins}/ipc-${id}`,
      uts: `${this.pins}/uts-${id}`,
      pid: `${this.pins}/pid-${id}`,
      user: `${this.pins}/user-${id}`,
    };
  }

  /** The bundle of a container and what its shim serves and leaves there. */
  container(id: ContainerId): ContainerPaths {
    const folder = `${this.containers}/${id}`;
    return {
      folder,
      spec: `${folder}/config.json`,
      execTemplate: `${folder}/exec.json`,
      socket: `${folder}/shim.sock`,
      exitRecord: `${folder}/exit.json`,
    };
  }
}

export interface PodPaths {
  readonly folder: string;
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  readonly shm: string;
  readonly network: string;
  readonly ipc: string;
  readonly uts: string;
  readonly pid: string;
  readonly user: string;
}

export interface ContainerPaths {
  /** The OCI bundle. */
  readonly folder: string;
  readonly spec: string;
  readonly execTemplate: string;
  readonly socket: string;
  readonly exitRecord: string;
}
