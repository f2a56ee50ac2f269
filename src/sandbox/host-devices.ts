import { constants, type Stats } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import type { HostNode } from "../cdi/index.ts";
import type { ContainerDevice } from "../core/container.ts";
import { RuntimeError } from "../core/errors.ts";
import type { DeviceNode, FoundDevice } from "../oci/index.ts";

/** Devices found below one requested folder; more is a mistake. */
const maxDevicesPerFolder = 1024;

/** A device of the request: the node itself, or every node below a folder. */
export async function findDevice(request: ContainerDevice): Promise<FoundDevice> {
  const status = await stat(request.hostPath).catch((error: unknown) => {
    throw new RuntimeError("invalid-argument", `devices: ${request.hostPath} cannot be read`, {
      cause: error,
    });
  });
  if (status.isDirectory()) return { request, nodes: await listDevices(request.hostPath, request.hostPath) };
  const node = deviceNode(request.hostPath, status);
  return { request, nodes: node === undefined ? [] : [node] };
}

/** Every device node of the host, for a privileged container. */
export async function listHostDevices(): Promise<readonly DeviceNode[]> {
  return listDevices("/dev", "/dev");
}

/** The device nodes and pipes at paths of the host; one that has none is left out. */
export async function findHostNodes(paths: readonly string[]): Promise<ReadonlyMap<string, HostNode>> {
  const found = new Map<string, HostNode>();
  for (const path of new Set(paths)) {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) continue;
    const node = status.isFIFO()
      ? { type: "p" as const, major: 0, minor: 0, fileMode: status.mode & ~constants.S_IFMT }
      : deviceNode(path, status);
    if (node !== undefined) found.set(path, node);
  }
  return found;
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
