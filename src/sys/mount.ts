import { checked } from "./call.ts";
import { libc } from "./ffi.ts";

const mountFunction = libc.function("mount", ["text", "text", "text", "i64", "bytes"], "i32");
const umount2Function = libc.function("umount2", ["text", "i32"], "i32");

/**
 * Mounts a file system, on a thread of libuv's pool: a device or a server that hangs must not stop the daemon.
 * `mountflags` are the MS_ constants; empty `data` is NULL.
 *
 * @see https://man7.org/linux/man-pages/man2/mount.2.html
 */
export async function mount(
  source: string,
  target: string,
  filesystemtype: string,
  mountflags: number,
  data: string,
): Promise<void> {
  const options = data === "" ? null : Buffer.from(`${data}\0`);
  checked("mount", await mountFunction.inThread(source, target, filesystemtype, mountflags, options), target);
}

/**
 * Unmounts, on a thread of libuv's pool, of which there are few: what may hang for long belongs in a process of its
 * own. `flags` are MNT_ constants.
 *
 * @see https://man7.org/linux/man-pages/man2/umount.2.html
 */
export async function umount2(target: string, flags: number): Promise<void> {
  checked("umount2", await umount2Function.inThread(target, flags), target);
}
