import { C } from "../ffi/libc.ts";
import { F } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { close, memoryFile, open, readlink } from "../ffi/files.ts";
import { stringArray } from "../ffi/structs.ts";

const mfdCloexec = 1;
const mfdAllowSealing = 2;
const mfdExec = 0x10;
const allSeals = 0xf;
const copyBytes = 0x7ffff000;
const atEmptyPath = 0x1000;
const sealedName = "berth-shim";

/**
 * Goes on as a copy of the interpreter in a sealed memfd: a container that gets hold of /proc/<pid>/exe of a process
 * that enters it finds nothing that it could write to (CVE-2019-5736). Returns in the copy, which has an empty
 * environment, so that LUA_INIT and LD_* mean nothing to it and to all that it forks.
 *
 * The program goes along as bytecode: loading that leaves next to no garbage, where compiling leaves a heap full of
 * holes, and every small object that a shim made in one of them would unshare a page of its own.
 */
export function runSealed(bundle: string, rest: readonly string[]): void {
  if (isSealed()) return;
  const code = bytecodeOf(bundle);
  becomeSealed(["berth-launcher", `/proc/self/fd/${code}`, ...rest], []);
}

/** True in the copy. */
export function isSealed(): boolean {
  const [self] = string.find(readlink("/proc/self/exe") ?? "", `/memfd:${sealedName}`, 1, true);
  return self !== undefined;
}

/** Becomes the copy, with these arguments: its name, the program's path, the program's own. */
export function becomeSealed(args: readonly string[], environment: readonly string[]): never {
  const memfd = sealedCopy("/proc/self/exe");
  C.execveat(memfd, "", stringArray(args), stringArray(environment), atEmptyPath);
  throw sysError("execveat", "sealed interpreter");
}

/** The bundle, compiled, in a memfd that stays open across execve. */
function bytecodeOf(bundle: string): number {
  const [program, problem] = loadfile(bundle);
  if (program === undefined) throw failure("internal", problem ?? bundle);
  return memoryFile(sealedName, string.dump(program), 0);
}

function sealedCopy(path: string): number {
  const source = open(path, 0);
  const memfd = createMemfd();
  for (;;) {
    const sent = C.sendfile(memfd, source, undefined, copyBytes);
    if (sent < 0) throw sysError("sendfile", path);
    if (sent === 0) break;
  }
  close(source);
  if (C.fcntl(memfd, F.ADD_SEALS, allSeals) < 0) throw sysError("fcntl", "sealed interpreter");
  return memfd;
}

/** MFD_EXEC is wanted where vm.memfd_noexec is set and unknown before Linux 6.3. */
function createMemfd(): number {
  const flags = mfdCloexec | mfdAllowSealing;
  const memfd = C.memfd_create(sealedName, flags | mfdExec);
  if (memfd >= 0) return memfd;
  if (errno() !== E.INVAL) throw sysError("memfd_create");
  const plain = C.memfd_create(sealedName, flags);
  if (plain < 0) throw sysError("memfd_create");
  return plain;
}
