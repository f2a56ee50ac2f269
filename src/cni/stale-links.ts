import type { HostNetwork } from "./host-network.ts";
import { stringField } from "./json.ts";
import { decodeLink, listLinks, RTM_NEWLINK } from "./netlink/link.ts";
import { staleMarks } from "./owner.ts";
import type { NetworkCall, ValidAttachment } from "./plugin.ts";

/**
 * Deletes the host's links of a kind that the network's attachments have left: their alias, an owner's mark, is of
 * none that is valid.
 */
export async function removeStaleLinks(
  host: HostNetwork,
  kind: "veth" | "ifb",
  call: NetworkCall,
  valid: readonly ValidAttachment[],
): Promise<void> {
  const isStale = staleMarks(stringField(call.conf, "name", call.conf.type), valid);
  const [reply] = await host.rtnetlink.execute(`links of the kind ${kind}`, [listLinks(kind)]);
  const links = (reply?.messages ?? [])
    .filter(({ type }) => type === RTM_NEWLINK)
    .map(({ payload }) => decodeLink(payload));
  const stale = links.filter((one) => one.kind === kind && isStale(one.alias));
  await Promise.all(
    stale.map(async ({ name }) => {
      if ((await host.removals.remove(name)) === "absent") return;
      call.note(`${call.conf.type}: deleted ${name}, which nobody uses any more`);
    }),
  );
}
