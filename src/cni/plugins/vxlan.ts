import { RuntimeError } from "../../core/errors.ts";
import { findLink } from "../bridge/device.ts";
import { parseIp } from "../ip.ts";
import { setLink } from "../netlink/link.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import type { NetworkCall, Plugin, PluginCall, ValidAttachment } from "../plugin.ts";
import type { CniInterface, CniResult } from "../result.ts";
import { readVxlanConf, usersPath, type VxlanConf } from "../vxlan/conf.ts";
import { Overlay, type OverlayOptions } from "../vxlan/overlay.ts";
import { withUsers, type Users } from "../vxlan/users.ts";
import { requireNamespace } from "./loopback.ts";

/** The plugin, and the end of its watching. */
export type VxlanPlugin = Plugin & AsyncDisposable;

/**
 * Joins the pods of several hosts: chained behind a plugin that gives a pod its interface, it keeps one VXLAN device
 * for the network, with an entry for every other host. docs/network.md has the keys.
 */
export function vxlanPlugin(options: OverlayOptions): VxlanPlugin {
  const overlays = new Map<string, Overlay>();

  const overlayOf = (conf: VxlanConf): Overlay => {
    const overlay = overlays.get(conf.network) ?? new Overlay(options, conf);
    overlays.set(conf.network, overlay);
    return overlay;
  };

  /** Takes the overlay away where nobody uses it. */
  const removeUnused = async (call: NetworkCall | PluginCall, users: Users): Promise<void> => {
    if ((await users.all()).length > 0) return;
    let conf: VxlanConf;
    try {
      conf = readVxlanConf(call.conf);
    } catch {
      // ADD refused it: there is no device.
      return;
    }
    await overlayOf(conf).remove(call.signal);
    overlays.delete(conf.network);
  };

  return {
    type: "vxlan",
    add: async (call) => {
      const conf = readVxlanConf(call.conf);
      const result = requireResult(call, conf);
      const bridge =
        conf.mode === "bridged" ? await bridgeOf(options.host.rtnetlink, result, conf) : undefined;
      const gateways = result.ips.flatMap(({ gateway }) => (gateway === undefined ? [] : [parseIp(gateway)]));
      const mtu = await withUsers(usersPath(call.conf), call.signal, async (users) => {
        await users.add(userOf(call));
        const request = { conf, sources: gateways, ...(bridge === undefined ? {} : { bridge }) };
        return overlayOf(conf).ensure(request, call.signal);
      });
      return await limitMtu(options.host.rtnetlink, call, result, mtu);
    },
    del: (call) =>
      withUsers(usersPath(call.conf), call.signal, async (users) => {
        await users.remove(userOf(call));
        await removeUnused(call, users);
      }),
    check: async (call) => {
      const conf = readVxlanConf(call.conf);
      const link = await findLink(options.host.rtnetlink, conf.device);
      if (link?.kind === "vxlan") return;
      throw new RuntimeError("failed-precondition", `network ${conf.network}: ${conf.device} is gone`);
    },
    gc: (call, valid) =>
      withUsers(usersPath(call.conf), call.signal, async (users) => {
        for (const user of await users.all()) {
          if (valid.some((one) => isSameUser(one, user))) continue;
          await users.remove(user);
          call.note(`vxlan: ${user.containerID} ${user.ifname} is no user any more`);
        }
        await removeUnused(call, users);
      }),
    reconcile: (call) =>
      withUsers(usersPath(call.conf), call.signal, async (users) => {
        if ((await users.all()).length === 0) return;
        const conf = readVxlanConf(call.conf);
        await overlayOf(conf).ensure({ conf }, call.signal);
      }),
    [Symbol.asyncDispose]: async () => {
      for (const overlay of overlays.values()) await overlay[Symbol.asyncDispose]();
    },
  };
}

function userOf({ containerId, ifname }: PluginCall): ValidAttachment {
  return { containerID: containerId, ifname };
}

function isSameUser(a: ValidAttachment, b: ValidAttachment): boolean {
  return a.containerID === b.containerID && a.ifname === b.ifname;
}

function requireResult(call: PluginCall, conf: VxlanConf): CniResult {
  if (call.prevResult !== undefined) return call.prevResult;
  const problem = "it is chained behind a plugin that gives the pod its interface";
  throw new RuntimeError("invalid-argument", `network ${conf.network}: vxlan: ${problem}`);
}

/** The bridge that the plugin before connected the pod to. */
async function bridgeOf(rtnetlink: NetlinkSocket, result: CniResult, conf: VxlanConf): Promise<string> {
  for (const { name } of result.interfaces.filter(isOnHost)) {
    if ((await findLink(rtnetlink, name))?.kind === "bridge") return name;
  }
  const problem = "mode bridged needs the bridge plugin before it";
  throw new RuntimeError("invalid-argument", `network ${conf.network}: vxlan: ${problem}`);
}

/** Nothing may be sent that does not fit into the tunnel: a bridge would drop it without a word. */
async function limitMtu(
  rtnetlink: NetlinkSocket,
  call: PluginCall,
  result: CniResult,
  mtu: number,
): Promise<CniResult> {
  const limit = async (socket: NetlinkSocket, name: string, kind: string | undefined): Promise<void> => {
    const link = await findLink(socket, name);
    if (link === undefined || link.mtu <= mtu || (kind !== undefined && link.kind !== kind)) return;
    await socket.execute(name, [setLink(link.index, { mtu })]);
  };
  for (const { name } of result.interfaces.filter(isOnHost)) await limit(rtnetlink, name, "veth");
  await limit(requireNamespace(call).rtnetlink, call.ifname, undefined);
  const interfaces = result.interfaces.map((entry) =>
    entry.mtu !== undefined && entry.mtu > mtu && (entry.name === call.ifname || isOnHost(entry))
      ? { ...entry, mtu }
      : entry,
  );
  return { ...result, interfaces };
}

function isOnHost({ sandbox }: CniInterface): boolean {
  return sandbox === undefined;
}
