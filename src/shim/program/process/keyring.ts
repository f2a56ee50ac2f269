import { nr } from "../ffi/arch.ts";
import { E, errno, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { tryWriteProc } from "./procfs.ts";

const joinSessionKeyring = 1;

/**
 * A fresh session keyring, so that the process shares none with the host. Without a name: joining a named one could
 * end in a keyring that somebody else prepared. A kernel without keys (ENOSYS), a filter (EPERM) and a full quota
 * (EDQUOT) are no reason not to start. With an SELinux label the keyring is labelled too.
 *
 * @see https://man7.org/linux/man-pages/man7/session-keyring.7.html
 */
export function newSessionKeyring(procfs: number, selinuxLabel: string): void {
  if (selinuxLabel !== "") tryWriteProc(procfs, "self/attr/keycreate", selinuxLabel);
  if (C.sys_keyctl_name(nr.keyctl, joinSessionKeyring, undefined) >= 0) return;
  const number = errno();
  if (number === E.NOSYS || number === E.PERM || number === E.DQUOT) return;
  throw sysError("keyctl", "session keyring", number);
}
