import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { PR } from "../ffi/constants.ts";
import { E, errno, sysError } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { ids } from "../ffi/memory.ts";
import { prctl } from "../ffi/processes.ts";

/**
 * Becomes the user: supplementary groups, group, user, in this order, and exactly those given, so that nothing of the
 * shim's own stays (CVE-2023-25173). Permitted capabilities are kept until the plan for them is applied.
 */
export function becomeUser(user: SpecProcess["user"]): void {
  prctl(PR.SET_KEEPCAPS, 1, "PR_SET_KEEPCAPS");
  setGroups(user.additionalGids ?? []);
  if (C.setresgid(user.gid, user.gid, user.gid) < 0) throw sysError("setresgid", user.gid);
  if (C.setresuid(user.uid, user.uid, user.uid) < 0) throw sysError("setresuid", user.uid);
  prctl(PR.SET_KEEPCAPS, 0, "PR_SET_KEEPCAPS");
}

function setGroups(groups: readonly number[]): void {
  if (C.setgroups(groups.length, ids(groups)) === 0) return;
  const number = errno();
  // A user namespace made without privilege has setgroups denied; without groups to set that changes nothing.
  if (groups.length > 0 || number !== E.PERM) throw sysError("setgroups", undefined, number);
}
