import { constants } from "node:os";
import { RuntimeError } from "../../core/errors.ts";
import { SysError } from "../../sys/index.ts";
import type { IpPrefix } from "../ip.ts";
import {
  addPortVlan,
  addTrunk,
  decodeBridgeVlans,
  deletePortVlan,
  enableVlanFiltering,
} from "../netlink/bridge-vlan.ts";
import { addVeth, deleteLink, getLinkByIndex, IFF_UP, setLink, type Link } from "../netlink/link.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { writeSysctl } from "../pod-namespace.ts";
import type { BridgeConf } from "./conf.ts";
import { ensureAddress, findLink, randomMac } from "./device.ts";
import { hostLinkName } from "./names.ts";
import type { PortVlans } from "./vlan-conf.ts";

/** Puts a port of the bridge into its VLANs, and out of the one that the bridge puts every port into. */
export async function setPortVlans(
  rtnetlink: NetlinkSocket,
  bridge: Link,
  port: Link,
  vlans: PortVlans,
): Promise<void> {
  const [reply] = await rtnetlink.execute(bridge.name, [getLinkByIndex(bridge.index)]);
  const present = decodeBridgeVlans(reply?.messages[0]?.payload ?? Buffer.alloc(16));
  if (present.filtering === "off") await requireFiltering(rtnetlink, bridge);
  const isRemoved = vlans.defaultVlan === "remove" && present.defaultVlan !== 0;
  await rtnetlink.execute(`VLANs of ${port.name}`, [
    ...(isRemoved ? [deletePortVlan(port.index, present.defaultVlan)] : []),
    addPortVlan(port.index, vlans.untagged),
    ...(vlans.trunk.length === 0 ? [] : [addTrunk(port.index, vlans.trunk)]),
  ]);
}

/** Without it every port would see every VLAN. */
async function requireFiltering(rtnetlink: NetlinkSocket, bridge: Link): Promise<void> {
  try {
    await rtnetlink.execute(bridge.name, [enableVlanFiltering(bridge.index)]);
  } catch (error) {
    if (!(error instanceof SysError) || error.errno !== constants.errno.EOPNOTSUPP) throw error;
    const reason = "the kernel has no CONFIG_BRIDGE_VLAN_FILTERING";
    throw new RuntimeError("failed-precondition", `${bridge.name}: vlan: ${reason}`, { cause: error });
  }
}

/**
 * Sees to it that the VLAN's gateway has these addresses: a link of the host beside the bridge, `cni0.5`, the other end
 * of which is a port in that VLAN. It stays, as the bridge does.
 */
export async function ensureVlanGateway(
  rtnetlink: NetlinkSocket,
  conf: BridgeConf,
  bridge: Link,
  vlans: PortVlans,
  addresses: readonly IpPrefix[],
): Promise<Link> {
  const name = `${conf.bridge}.${vlans.untagged}`;
  const gateway = (await findLink(rtnetlink, name)) ?? (await addGateway(rtnetlink, name, bridge, vlans));
  if (gateway.kind !== "veth" && gateway.kind !== "vlan") {
    throw new RuntimeError("failed-precondition", `${name} exists and is no link into a VLAN`);
  }
  await rtnetlink.execute(name, [setLink(gateway.index, { flags: IFF_UP })]);
  for (const address of addresses) await ensureAddress(rtnetlink, conf, gateway, address);
  return gateway;
}

async function addGateway(
  rtnetlink: NetlinkSocket,
  name: string,
  bridge: Link,
  vlans: PortVlans,
): Promise<Link> {
  const portName = hostLinkName(bridge.name, name);
  await rtnetlink.execute(`${name}, ${portName}`, [
    addVeth(
      { name: portName, mac: randomMac(), mtu: bridge.mtu, master: bridge.index, flags: IFF_UP },
      { name, mac: randomMac(), mtu: bridge.mtu },
    ),
  ]);
  // The plugin owns the routes of this link (CVE-2020-10749).
  writeSysctl(`ipv6/conf/${name}/accept_ra`, "0");
  const [port, gateway] = [await findLink(rtnetlink, portName), await findLink(rtnetlink, name)];
  if (port === undefined || gateway === undefined)
    throw new RuntimeError("internal", `${name} is gone again`);
  await using undo = new AsyncDisposableStack();
  // In another VLAN it is nobody's gateway.
  undo.defer(async () => {
    await rtnetlink.request([deleteLink(port.index)]);
  });
  await setPortVlans(rtnetlink, bridge, port, { ...vlans, trunk: [] });
  undo.move();
  return gateway;
}
