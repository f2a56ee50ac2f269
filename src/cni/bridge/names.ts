import { createHash } from "node:crypto";

/** The host's end of a veth is found by its name alone, also when the namespace and every record are gone. */
export function hostLinkName(containerId: string, ifname: string): string {
  return `veth${createHash("sha256").update(`${containerId}/${ifname}`).digest("hex").slice(0, 8)}`;
}
