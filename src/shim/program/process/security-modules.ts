import type { SpecProcess } from "../../../core/oci-runtime-spec.ts";
import { E, failure, sysError } from "../ffi/error.ts";
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
  if (selinuxLabel !== "" && tryReadFile("/sys/fs/selinux/enforce", 16) === undefined) {
    throw failure("failed-precondition", `process.selinuxLabel ${selinuxLabel}: this host has no SELinux`);
  }
}

/** Asks for the profile and label to hold from execve on, through a procfs that was verified. */
export function setSecurityLabels(procfs: number, process: SpecProcess): void {
  const { apparmorProfile = "", selinuxLabel = "" } = process;
  if (selinuxLabel !== "") setLabel(procfs, ["self/attr/exec"], selinuxLabel);
  if (apparmorProfile === "" || (apparmorProfile === "unconfined" && !hasAppArmor())) return;
  setLabel(procfs, ["self/attr/apparmor/exec", "self/attr/exec"], `exec ${apparmorProfile}`);
}

function setLabel(procfs: number, files: readonly string[], text: string): void {
  let number: number = E.NOENT;
  for (const file of files) {
    number = tryWriteProc(procfs, file, text);
    if (number === 0) return;
    if (number !== E.NOENT) break;
  }
  throw sysError("write", `/proc/self/attr/exec "${text}"`, number);
}

function hasAppArmor(): boolean {
  const enabled = tryReadFile("/sys/module/apparmor/parameters/enabled", 16);
  return enabled !== undefined && string.sub(enabled, 1, 1) === "Y";
}
