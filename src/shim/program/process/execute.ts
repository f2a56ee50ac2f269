import { nr } from "../ffi/arch.ts";
import { PR } from "../ffi/constants.ts";
import { type Failure, errno, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { prctl } from "../ffi/processes.ts";
import { closeOnExec, keepOnExec } from "../ffi/files.ts";
import { resetSignals, unblockAllSignals } from "../ffi/signals.ts";
import { applyCapabilities, dropBounding } from "./capabilities.ts";
import { commandError, findCommand } from "./command.ts";
import type { PreparedProcess } from "./prepare.ts";
import { setRlimits } from "./rlimits.ts";
import { type SeccompFilter, setModeFilter } from "./seccomp.ts";
import { becomeUser } from "./user.ts";
import { enterWorkingFolder, verifyWorkingFolder } from "./working-folder.ts";

const defaultUmask = 0o022;
const firstOtherFd = 3;

/**
 * Gives up what the process shall not have and becomes the command (execve(2)); throws a failure with the reason
 * otherwise, after which this process is good for nothing but to tell it and to end.
 *
 * Without no_new_privs only CAP_SYS_ADMIN may load a filter. It is kept for that until execve, which takes it away
 * (see `applyCapabilities`), so in both cases nothing runs under the filter but the execve itself. The command gets
 * `preservedFds` descriptors from 3 on.
 */
export function executeProcess(prepared: PreparedProcess, filter?: SeccompFilter, preservedFds = 0): never {
  const { process } = prepared;
  const privilegedFilter = filter !== undefined && process.noNewPrivileges !== true;
  if (process.noNewPrivileges === true) prctl(PR.SET_NO_NEW_PRIVS, 1, "PR_SET_NO_NEW_PRIVS");
  dropBounding(prepared.capabilities);
  becomeUser(process.user);
  // A change of user sets it to fs.suid_dumpable.
  prctl(PR.SET_DUMPABLE, 0, "PR_SET_DUMPABLE");
  if (prepared.enterAsUser) {
    enterWorkingFolder(process.cwd, "user");
    verifyWorkingFolder(process.cwd);
  }
  C.umask(process.user.umask ?? defaultUmask);
  applyCapabilities(prepared.capabilities, privilegedFilter ? "CAP_SYS_ADMIN" : undefined);
  const name = process.args[0] ?? "";
  const file = findCommand(name, prepared.envp.values);
  setRlimits(process.rlimits);
  resetSignals();
  if (preservedFds > 0) keepOnExec(firstOtherFd, preservedFds);
  closeOnExec(firstOtherFd + preservedFds);
  unblockAllSignals();
  throw replaceImage(prepared, name, file, filter);
}

/** Returns why it did not work. Nothing is allocated or looked up that the filter could forbid. */
function replaceImage(
  prepared: PreparedProcess,
  name: string,
  file: string,
  filter: SeccompFilter | undefined,
): Failure {
  const argv = prepared.argv.array;
  const envp = prepared.envp.array;
  collectgarbage("stop");
  resolveSymbols();
  if (filter !== undefined && C.sys_seccomp(nr.seccomp, setModeFilter, filter.flags, filter.program) < 0) {
    return sysError("seccomp");
  }
  C.execve(file, argv, envp);
  return commandError(name, errno(), file);
}

/** LuaJIT looks a C function up at its first use; later it is in a cache. */
function resolveSymbols(): void {
  const { sys_seccomp, execve } = C as unknown as Record<string, unknown>;
  if (sys_seccomp === undefined || execve === undefined) throw sysError("dlsym", "execve");
}
