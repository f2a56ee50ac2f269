import { constants } from "node:os";
import { existsSync, readFileSync } from "node:fs";
import { RuntimeError } from "../../core/errors.ts";
import { isErrno, SysError } from "../../sys/index.ts";
import type { IpAddress } from "../ip.ts";
import { decodeLink, getLinkByIndex } from "../netlink/link.ts";
import { addElements, deleteElements } from "../netlink/nftables.ts";
import { decodeRoute, lookUpRoute } from "../netlink/route.ts";
import { requireSuccess, type NetlinkSocket } from "../netlink/socket.ts";
import { writeSysctl } from "../pod-namespace.ts";
import { linkKey, localnetSet } from "./table.ts";

const { EEXIST, ENOENT } = constants.errno;

/**
 * Lets the host's 127.0.0.1 reach a pod's address: the link that leads there may route 127.0.0.0/8. A link for which
 * that is new is entered in the table's set first, by which its neighbours are kept out, and which tells what to undo.
 */
export async function allowLocalnet(
  sockets: { readonly rtnetlink: NetlinkSocket; readonly netfilter: NetlinkSocket },
  table: string,
  pod: IpAddress,
): Promise<void> {
  const link = await linkTowards(sockets.rtnetlink, pod);
  if (link === undefined || routesLocalnet(link) !== "0") return;
  const element = { key: linkKey(link), comment: "" };
  const failure = await sockets.netfilter.batch([addElements({ table, set: localnetSet }, [element])]);
  if (failure !== undefined && failure.errno !== EEXIST) {
    throw new SysError("netlink", failure.errno, `${table} ${localnetSet}`, failure.text);
  }
  writeSysctl(sysctlOf(link), "1");
}

/** Undoes, or does again, what {@link allowLocalnet} did for these links; one that is gone is fine. */
export function setRouteLocalnet(links: readonly string[], value: "0" | "1"): void {
  for (const link of links) writeSysctl(sysctlOf(link), value);
}

/** Drops links that are gone from the table's set: a point-to-point network has one a pod. */
export async function pruneLocalnet(
  netfilter: NetlinkSocket,
  table: string,
  links: readonly string[],
): Promise<void> {
  const gone = links.filter((link) => !existsSync(`/proc/sys/net/ipv4/conf/${link}`));
  if (gone.length === 0) return;
  const elements = gone.map((link) => ({ key: linkKey(link), comment: "" }));
  const failure = await netfilter.batch([deleteElements({ table, set: localnetSet }, elements)]);
  if (failure === undefined || failure.errno === ENOENT) return;
  throw new SysError("netlink", failure.errno, `${table} ${localnetSet}`, failure.text);
}

/** The name of the link that packets to an address leave by; undefined where no route leads there. */
export async function linkTowards(rtnetlink: NetlinkSocket, address: IpAddress): Promise<string | undefined> {
  const [routed] = await rtnetlink.request([lookUpRoute(address)]);
  const message = routed?.messages[0];
  const index = message === undefined ? undefined : decodeRoute(message.payload).link;
  if (index === undefined) return undefined;
  const [reply] = await rtnetlink.request([getLinkByIndex(index)]);
  if (reply === undefined || reply.acknowledgement.errno === constants.errno.ENODEV) return undefined;
  requireSuccess(`link ${index}`, reply);
  const found = reply.messages[0];
  if (found === undefined) throw new RuntimeError("internal", `the kernel says nothing of link ${index}`);
  return decodeLink(found.payload).name;
}

/** The link's own setting, `0` or `1`; undefined where the link is gone. */
export function routesLocalnet(link: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/net/${sysctlOf(link)}`, "utf8").trim();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}

function sysctlOf(link: string): string {
  return `ipv4/conf/${link}/route_localnet`;
}
