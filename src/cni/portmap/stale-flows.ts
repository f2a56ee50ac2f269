import { constants } from "node:os";
import { decodeConnection, deleteConnection, listConnections } from "../netlink/conntrack.ts";
import { requireSuccess, type NetlinkSocket } from "../netlink/socket.ts";

const IPPROTO_UDP = 17;
/** Deletions that go into one datagram. */
const deletionsAtOnce = 64;

/**
 * Forgets the UDP flows to these ports of the host: a sender that goes on without a pause would be led by the old
 * rules, to a pod that is gone or past one that is new.
 */
export async function forgetUdpFlows(
  netfilter: NetlinkSocket,
  family: 4 | 6,
  ports: ReadonlySet<number>,
): Promise<void> {
  if (ports.size === 0) return;
  const [reply] = await netfilter.execute("connection tracking", [listConnections(family)]);
  const stale = (reply?.messages ?? []).flatMap(({ payload }) => {
    const connection = decodeConnection(payload);
    const isMeant = connection?.protocol === IPPROTO_UDP && ports.has(connection.destinationPort);
    return isMeant ? [deleteConnection(family, connection)] : [];
  });
  for (let start = 0; start < stale.length; start += deletionsAtOnce) {
    for (const deleted of await netfilter.request(stale.slice(start, start + deletionsAtOnce))) {
      // ENOENT: it has ended by itself.
      if (deleted.acknowledgement.errno !== constants.errno.ENOENT)
        requireSuccess("connection tracking", deleted);
    }
  }
}
