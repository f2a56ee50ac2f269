import { chmod, mkdir, readFile } from "node:fs/promises";
import {
  mount,
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_REC,
  MS_SHARED,
  MS_UNBINDABLE,
} from "../sys/index.ts";
import { netnsFolder, type StatePaths } from "./paths.ts";

/** Bytes of the tmpfs that the pins lie on; a pin is an empty file. */
const pinsBytes = 4 * 1024 * 1024;

/**
 * Makes the folders of a boot, 0700 below an 0711 root, the unbindable tmpfs of the pins, and /run/netns as a shared
 * mount. What is there already stays.
 */
export async function prepareState(paths: StatePaths): Promise<void> {
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  await chmod(paths.root, 0o711);
  for (const folder of [paths.pins, paths.pods, paths.containers, paths.launcher, paths.seccomp]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
  await mkdir(netnsFolder, { recursive: true, mode: 0o755 });
  const mounts = await readFile("/proc/self/mountinfo", "utf8");
  if (!isMountPoint(mounts, paths.pins)) {
    await mount(
      "berth",
      paths.pins,
      "tmpfs",
      MS_NOSUID | MS_NODEV | MS_NOEXEC,
      `mode=0700,size=${pinsBytes}`,
    );
    await mount("none", paths.pins, "", MS_UNBINDABLE, "");
  }
  if (!isMountPoint(mounts, netnsFolder)) {
    await mount(netnsFolder, netnsFolder, "", MS_BIND | MS_REC, "");
    await mount("none", netnsFolder, "", MS_SHARED | MS_REC, "");
  }
}

/** mountinfo(5): the fifth field is the mount point. */
function isMountPoint(mountinfo: string, path: string): boolean {
  return mountinfo.split("\n").some((line) => line.split(" ")[4] === path);
}
