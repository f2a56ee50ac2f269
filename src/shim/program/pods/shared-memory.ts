import type { CreatePodRequest } from "../../protocol/messages.ts";
import { AT, MS } from "../ffi/constants.ts";
import { E, errno, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { mount } from "../ffi/mounts.ts";
import { detachAll } from "./pins.ts";
import type { Undo } from "./undo.ts";

const folderMode = 0o700;

/** Mounts the pod's /dev/shm: a tmpfs of its own, which belongs to the root of the pod's user namespace. */
export function mountSharedMemory(request: CreatePodRequest, undo: Undo): void {
  if (request.shm === undefined) return;
  const { path, sizeBytes } = request.shm;
  if (makeFolder(path)) {
    undo.defer(() => {
      removeFolder(path);
    });
  }
  const uid = hostIdOfRoot(request.userMappings?.uids);
  const gid = hostIdOfRoot(request.userMappings?.gids);
  const options = string.format("mode=1777,size=%.0f,uid=%.0f,gid=%.0f", sizeBytes, uid, gid);
  mount("shm", path, "tmpfs", MS.NOSUID + MS.NODEV + MS.NOEXEC, options);
  undo.defer(() => {
    detachAll(path);
  });
}

/** Takes mount and folder away; either may be gone already. */
export function unmountSharedMemory(path: string): void {
  detachAll(path);
  removeFolder(path);
}

/** True where it was not there before. */
function makeFolder(path: string): boolean {
  if (C.mkdirat(AT.FDCWD, path, folderMode) === 0) return true;
  const number = errno();
  if (number === E.EXIST) return false;
  throw sysError("mkdir", path, number);
}

function removeFolder(path: string): void {
  if (C.unlinkat(AT.FDCWD, path, AT.REMOVEDIR) === 0) return;
  const number = errno();
  if (number !== E.NOENT) throw sysError("rmdir", path, number);
}

function hostIdOfRoot(mappings: readonly { containerID: number; hostID: number }[] | undefined): number {
  return mappings?.find((one) => one.containerID === 0)?.hostID ?? 0;
}
