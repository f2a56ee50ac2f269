import { closeSync, openSync, readSync } from "node:fs";
import { checked } from "./call.ts";
import { libc } from "./ffi.ts";

const syscallFsopen = libc.function("syscall", ["i64", "text", "i64"], "i64");
const syscallFsconfig = libc.function("syscall", ["i64", "i64", "i64", "text", "text", "i64"], "i64");
const syscallFsconfigCommand = libc.function("syscall", ["i64", "i64", "i64", "i64", "i64", "i64"], "i64");

const SYS_fsopen = 430;
const SYS_fsconfig = 431;
const FSOPEN_CLOEXEC = 1;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;

/** Three folders of one file system; `upper` and `work` are empty. */
export interface OverlayFolders {
  readonly lower: string;
  readonly upper: string;
  readonly work: string;
}

/**
 * Tries whether the kernel makes an overlay of these folders, which it does not on every file system: it is made and
 * thrown away, mounted nowhere. Throws SysError where the kernel has no overlay or refuses these folders.
 *
 * @see https://docs.kernel.org/filesystems/overlayfs.html
 */
export function tryOverlay(folders: OverlayFolders): void {
  const fs = checked("fsopen", syscallFsopen(SYS_fsopen, "overlay", FSOPEN_CLOEXEC), "overlay");
  const held: number[] = [];
  try {
    for (const option of ["lower", "upper", "work"] as const) {
      // A string of fsconfig has 255 bytes, a path may have more.
      const fd = openSync(folders[option], "r");
      held.push(fd);
      const set = syscallFsconfig(SYS_fsconfig, fs, FSCONFIG_SET_STRING, `${option}dir`, fdPath(fd), 0);
      checked("fsconfig", set, `${option}dir=${folders[option]}`);
    }
    const made = syscallFsconfigCommand(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
    checked("fsconfig", made, `overlay on ${folders.upper}${reasonOf(fs, made.value)}`);
  } finally {
    for (const fd of held) closeSync(fd);
    closeSync(fs);
  }
}

function fdPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** The kernel's own words, where it left any in the context (fsopen(2)). */
function reasonOf(fs: number, result: number): string {
  if (result >= 0) return "";
  const buffer = Buffer.alloc(512);
  try {
    return `: ${buffer.toString("utf8", 0, readSync(fs, buffer)).trim()}`;
  } catch {
    return "";
  }
}
