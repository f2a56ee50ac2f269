import { RuntimeError } from "../core/errors.ts";

/** `__NEW_UTS_LEN` of the kernel, in bytes. */
const maxHostnameBytes = 64;

/**
 * Refuses a pod's hostname that sethostname(2) would not take or that would break /etc/hosts and /etc/hostname
 * (CVE-2022-4318): `invalid-argument`. Empty is the node's own or the pod's name, as the caller decides.
 */
export function checkHostname(hostname: string): void {
  if (hostname.length > maxHostnameBytes) {
    throw new RuntimeError(
      "invalid-argument",
      `hostname ${JSON.stringify(hostname.slice(0, maxHostnameBytes))}… is longer than ${maxHostnameBytes} bytes`,
    );
  }
  if (hostname !== "" && !/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(hostname)) {
    throw new RuntimeError("invalid-argument", `hostname ${JSON.stringify(hostname)} is not a host name`);
  }
}
