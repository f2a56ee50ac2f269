import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { AT, FS_MAGIC, O, S } from "../ffi/constants.ts";
import { failure, sysError } from "../ffi/error.ts";
import { close, fsType, openat2 } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { ints } from "../ffi/memory.ts";
import type { Winsize } from "../ffi/structs.ts";
import { struct } from "../ffi/structs.ts";
import { bindFile, isDevice } from "../mounts/devices.ts";
import type { NewRoot } from "../mounts/targets.ts";
import { RESOLVE } from "../ffi/constants.ts";

const tiocsctty = 0x540e;
const tiocswinsz = 0x5414;
const tiocsptlck = 0x40045431;
const tiocgptpeer = 0x5441;
const ptmxMajor = 5;
const ptmxMinor = 2;

/** Both ends of a new terminal of the container's own devpts. */
export interface Terminal {
  readonly master: number;
  readonly slave: number;
}

/**
 * Opens a terminal of the devpts below `rootFd`, which must be one: the container may have put anything there. The
 * slave comes from the master itself (TIOCGPTPEER), not from a path.
 */
export function openTerminal(rootFd: number, size: SpecProcess["consoleSize"]): Terminal {
  const path = "dev/pts/ptmx";
  const flags = O.RDWR | O.NOCTTY | O.NOFOLLOW;
  const master = openat2(rootFd, path, flags, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | RESOLVE.NO_SYMLINKS);
  if (master === undefined) throw failure("failed-precondition", `terminal: /${path} is missing`);
  if (!isDevice(master, S.IFCHR, ptmxMajor, ptmxMinor) || fsType(master) !== FS_MAGIC.DEVPTS) {
    close(master);
    throw failure("failed-precondition", `terminal: /${path} is not of devpts`);
  }
  const unlock = ints(1);
  if (C.ioctl(master, tiocsptlck, unlock) < 0) throw sysError("ioctl TIOCSPTLCK", path);
  const slave = C.ioctl_long(master, tiocgptpeer, O.RDWR | O.NOCTTY | O.CLOEXEC);
  if (slave < 0) throw sysError("ioctl TIOCGPTPEER", path);
  if (size !== undefined) resizeTerminal(master, size.height, size.width);
  return { master, slave };
}

/** Gives a terminal to the user of the process, who may then open it by its name. */
export function ownTerminal({ slave }: Terminal, uid: number): void {
  const sameGroup = 0xffffffff;
  if (C.fchownat(slave, "", uid, sameGroup, AT.EMPTY_PATH) < 0) throw sysError("chown", "the terminal");
}

/** Makes the slave /dev/console: by descriptor, so that nothing can be slipped in between (CVE-2025-52565). */
export function bindConsole(root: NewRoot, slave: number): void {
  bindFile(root, slave, "/dev/console");
}

/** TIOCSWINSZ: sets the size, which signals the foreground processes. */
export function resizeTerminal(master: number, rows: number, cols: number): void {
  const size = struct<Winsize>("winsize_buf");
  size.rows = rows;
  size.cols = cols;
  if (C.ioctl(master, tiocswinsz, size) < 0) throw sysError("ioctl TIOCSWINSZ");
}

/** Makes the slave the controlling terminal of the calling session leader. */
export function controlTerminal(slave: number): void {
  if (C.ioctl_long(slave, tiocsctty, 0) < 0) throw sysError("ioctl TIOCSCTTY");
}
