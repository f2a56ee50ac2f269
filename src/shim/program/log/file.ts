import { O } from "../ffi/constants.ts";
import { openat } from "../ffi/files.ts";
import { AT } from "../ffi/constants.ts";

const logMode = 0o640;

/** Opens a log to add to, making it; a symlink in its place is refused (CVE-2025-0750). */
export function openLogFile(path: string): number {
  return openat(AT.FDCWD, path, O.WRONLY | O.APPEND | O.CREAT | O.NOFOLLOW, logMode);
}
