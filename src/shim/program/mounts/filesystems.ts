import { MOUNT_ATTR } from "../ffi/constants.ts";
import { failure, sysError } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { bytes, toText } from "../ffi/memory.ts";
import { fsconfig, fsmount, fsopen, mountSetattr } from "../ffi/mounts.ts";
import type { MountOptions } from "./options.ts";

const maxLogLineBytes = 512;

/** A new file system as a detached mount: proc, sysfs, tmpfs, devpts, mqueue or any other that the kernel has. */
export function mountFilesystem(
  type: string,
  source: string | undefined,
  options: MountOptions,
  destination: string,
): number {
  const fs = fsopen(type);
  const [ok, result] = pcall(() => {
    if (source !== undefined && source !== "") configure(fs, "source", source, destination);
    for (const option of options.data) {
      const [key, value] = string.match(option, "^([^=]+)=(.*)$");
      configure(fs, key ?? option, value, destination);
    }
    return fsmount(fs, attributesOf(options), destination);
  });
  const why = ok ? "" : complaint(fs);
  close(fs);
  if (!ok && why !== "") throw failure("invalid-argument", `mount ${destination}: ${why}`);
  if (!ok) throw result;
  const mount = result;
  if (options.propagation !== 0) mountSetattr(mount, 0, { propagation: options.propagation }, destination);
  return mount;
}

/** An empty, read-only tmpfs: what masked folders are covered with. */
export function emptyFolder(): number {
  const fs = fsopen("tmpfs");
  const [ok, result] = pcall(() => {
    configure(fs, "size", "0", "mask");
    configure(fs, "nr_inodes", "1", "mask");
    return fsmount(fs, MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC, "mask");
  });
  close(fs);
  if (!ok) throw result;
  return result;
}

function configure(fs: number, key: string, value: string | undefined, destination: string): void {
  if (fsconfig(fs, key, value)) return;
  throw sysError("mount", `${destination}: option ${value === undefined ? key : `${key}=${value}`}`);
}

/** What the kernel wrote to the context's log: `e tmpfs: Bad value for 'size'`. */
function complaint(fs: number): string {
  const line = bytes(maxLogLineBytes);
  const got = C.read(fs, line, maxLogLineBytes);
  if (got <= 2) return "";
  const [text] = string.match(toText(line, got), "^e (.-)%s*$");
  return text === undefined ? "" : string.lower(text);
}

function attributesOf(options: MountOptions): number {
  return (options.set | options.recursiveSet) & ~(options.clear & ~MOUNT_ATTR.ATIME);
}
