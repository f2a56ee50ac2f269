import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { E, type Failure, failure, sysError } from "../ffi/error.ts";
import { tryReadFile } from "../ffi/files.ts";
import { tryWriteProc } from "./procfs.ts";

/** Refuses a profile or label that this host has no module for; read on the host, before the container's mounts. */
export function checkSecurityModules(process: SpecProcess): void {
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  if (apparmorProfile !== "" && apparmorProfile !== "unconfined" && !hasAppArmor()) {
    throw failure(
      "failed-precondition",
      `process.apparmorProfile ${apparmorProfile}: this host has no AppArmor`,
    );
  }
  requireSelinux("process.selinuxLabel", selinuxLabel);
}

/** Refuses a label on a host without SELinux; an empty one asks for nothing. */
export function requireSelinux(field: string, label: string): void {
  if (label === "" || tryReadFile("/sys/fs/selinux/enforce", 16) !== undefined) return;
  throw failure("failed-precondition", `${field} ${label}: this host has no SELinux`);
}

/** Asks for the profile and label to hold from execve on, through a procfs that was verified. */
export function setSecurityLabels(procfs: number, process: SpecProcess): void {
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  if (selinuxLabel !== "") {
    const number = setLabel(procfs, ["self/attr/exec"], selinuxLabel);
    if (number !== 0) throw labelError("process.selinuxLabel", selinuxLabel, number, "SELinux");
  }
  if (apparmorProfile === "") return;
  const number = setLabel(procfs, ["self/attr/apparmor/exec", "self/attr/exec"], `exec ${apparmorProfile}`);
  // Unconfined is what a process without AppArmor is anyway.
  if (number === 0 || apparmorProfile === "unconfined") return;
  if (number === E.NOENT && hasAppArmor()) {
    throw failure(
      "invalid-argument",
      `process.apparmorProfile "${apparmorProfile}": no such profile is loaded`,
    );
  }
  throw labelError("process.apparmorProfile", apparmorProfile, number, "AppArmor");
}

/** The errno, 0 for success. */
function setLabel(procfs: number, files: readonly string[], text: string): number {
  let number: number = E.NOENT;
  for (const file of files) {
    number = tryWriteProc(procfs, file, text);
    // Without the file the module is not compiled in; a profile that is not loaded is ENOENT as well, from each file.
    if (number !== E.NOENT) return number;
  }
  return number;
}

function labelError(field: string, value: string, number: number, module: string): Failure {
  const hint = `${module} is off on this host, or has not loaded it`;
  const problem = sysError("write", "/proc/self/attr/exec", number);
  return {
    ...problem,
    code: "failed-precondition",
    message: `${field} "${value}": ${problem.message} (${hint})`,
  };
}

function hasAppArmor(): boolean {
  const enabled = tryReadFile("/sys/module/apparmor/parameters/enabled", 16);
  return enabled !== undefined && string.sub(enabled, 1, 1) === "Y";
}
