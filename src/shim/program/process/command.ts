import type { ShimFailure } from "../../protocol/messages.ts";
import { AT, S } from "../ffi/constants.ts";
import { E, type Failure, errno, errorText, failure } from "../ffi/error.ts";
import { isType, tryStatx } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";

const executable = 1;
/** What is searched for a process without PATH, as Docker's images have it. */
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The file that a command means, searched in the PATH of its own environment, inside the container and with the
 * user's rights: `not-found` where there is none, `permission-denied` where there is one that may not be executed.
 * A name with a slash is taken as it is, a relative element of PATH is not.
 */
export function findCommand(name: string, environment: readonly string[]): string {
  const [slash] = string.find(name, "/", 1, true);
  if (slash !== undefined) {
    checkFile(name);
    return name;
  }
  let refused: number | undefined;
  for (const folder of pathOf(environment).split(":")) {
    if (name === "" || string.sub(folder, 1, 1) !== "/") continue;
    const candidate = `${folder}/${name}`;
    const number = accessError(candidate);
    if (number === 0) return candidate;
    if (number === E.ACCES) refused = number;
  }
  if (refused !== undefined) throw commandError(name, refused);
  throw failure("not-found", `exec "${name}": executable file not found in $PATH`);
}

/** The error of an execve(2) that failed, for a person who only knows the command. */
export function commandError(name: string, number: number, file = name): Failure {
  const interpreter =
    number === E.NOENT && tryStatx(AT.FDCWD, file, 0) !== undefined ? " (its interpreter is missing)" : "";
  return {
    failure: true,
    code: codeOf(number),
    message: `exec ${shownName(name)}: ${errorText(number)}${interpreter}`,
    syscall: "execve",
    errno: number,
  };
}

/** A path speaks for itself, a bare word is quoted. */
function shownName(name: string): string {
  const [slash] = string.find(name, "/", 1, true);
  return slash === undefined ? `"${name}"` : name;
}

function codeOf(number: number): ShimFailure["code"] {
  if (number === E.NOENT || number === E.NOTDIR || number === E.NAMETOOLONG || number === E.LOOP)
    return "not-found";
  if (number === E.ACCES || number === E.PERM || number === E.ISDIR) return "permission-denied";
  if (number === E.NOEXEC || number === E.TOOBIG || number === E.INVAL) return "invalid-argument";
  if (number === E.TXTBSY) return "failed-precondition";
  return number === E.NOMEM || number === E.AGAIN ? "resource-exhausted" : "internal";
}

function checkFile(path: string): void {
  const found = tryStatx(AT.FDCWD, path, 0);
  if (found === undefined) throw commandError(path, errno());
  if (isType(found, S.IFDIR)) throw commandError(path, E.ISDIR);
}

/** 0 for a file that this process may execute, EACCES for one that it may not, ENOENT for all else. */
function accessError(path: string): number {
  const found = tryStatx(AT.FDCWD, path, 0);
  if (found === undefined || !isType(found, S.IFREG)) return E.NOENT;
  return C.faccessat(AT.FDCWD, path, executable, AT.EACCESS) === 0 ? 0 : E.ACCES;
}

function pathOf(environment: readonly string[]): string {
  let path = defaultPath;
  for (const entry of environment) {
    if (string.sub(entry, 1, 5) === "PATH=") path = string.sub(entry, 6);
  }
  return path;
}
