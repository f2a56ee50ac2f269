import { O } from "../ffi/constants.ts";
import { close, fstat, open, readFile } from "../ffi/files.ts";
import { toNumber } from "../ffi/memory.ts";

/** Bytes of /proc/self/mountinfo that are read: some 10,000 mounts. */
const maxMountinfoBytes = 4 * 1024 * 1024;

/** The line of /proc/self/mountinfo (proc(5)) of the mount that a path lies on; empty where there is none. */
export function mountinfoOf(path: string): string {
  const fd = open(path, O.PATH);
  const id = toNumber(fstat(fd).mnt_id);
  close(fd);
  const [line] = string.match(`\n${readFile("/proc/self/mountinfo", maxMountinfoBytes)}`, `\n(${id} [^\n]*)`);
  return line ?? "";
}
