import { createHash } from "node:crypto";
import { maxCommentBytes } from "./netlink/nftables.ts";
import type { ValidAttachment } from "./plugin.ts";

/** Whose something is, as a comment says; what is too long for one is hashed. */
export function ownerComment(containerId: string, ifname: string): string {
  const owner = `${containerId} ${ifname}`;
  if (Buffer.byteLength(owner) <= maxCommentBytes) return owner;
  return createHash("sha256").update(owner).digest("hex");
}

/**
 * The same with the network, for what networks share: links of the host and chains of iptables. At most 146 bytes, and
 * so both an alias of a link (IFALIASZ) and a comment of iptables.
 */
export function ownerMark(network: string, containerId: string, ifname: string): string {
  return `${networkMark(network)}${ownerComment(containerId, ifname)}`;
}

/** Tells the marks of a network's attachments that are not among the valid ones; other texts are nobody's marks. */
export function staleMarks(network: string, valid: readonly ValidAttachment[]): (mark: string) => boolean {
  const own = networkMark(network);
  const kept = new Set(valid.map(({ containerID, ifname }) => ownerMark(network, containerID, ifname)));
  return (mark) => mark.startsWith(own) && !kept.has(mark);
}

/** A hash: a network's name may be of any length. */
function networkMark(network: string): string {
  return `berth ${createHash("sha256").update(network).digest("hex").slice(0, 12)} `;
}
