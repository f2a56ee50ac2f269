import { AT, O, RESOLVE, S } from "../ffi/constants.ts";
import { close, fstat, isType, openat2, readAllFd } from "../ffi/files.ts";

/** Bytes of /etc/passwd that are read. */
const maxPasswdBytes = 1024 * 1024;

/** The home folder of a user by the /etc/passwd of the root that this process is in; `/` where it has none. */
export function homeOf(uid: number): string {
  const [ok, text] = pcall(readPasswd);
  if (!ok) return "/";
  for (const [line] of string.gmatch(text, "[^\n]+")) {
    if (line === undefined) break;
    const [id, home] = string.match(line, "^[^:]*:[^:]*:(%d+):[^:]*:[^:]*:([^:]*)");
    if (id !== undefined && tonumber(id) === uid) return home === undefined || home === "" ? "/" : home;
  }
  return "/";
}

/** Only a plain file is read: a pipe or a device of the image would never end. */
function readPasswd(): string {
  const fd = openat2(AT.FDCWD, "/etc/passwd", O.RDONLY | O.NONBLOCK, RESOLVE.NO_MAGICLINKS);
  if (fd === undefined) return "";
  const [ok, text] = pcall(() =>
    isType(fstat(fd), S.IFREG) ? readAllFd(fd, maxPasswdBytes, "/etc/passwd") : "",
  );
  close(fd);
  return ok ? text : "";
}
