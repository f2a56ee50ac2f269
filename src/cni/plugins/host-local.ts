import { RuntimeError } from "../../core/errors.ts";
import {
  readHostLocalConf,
  readResolvConf,
  requestedAddresses,
  reservationPath,
  type HostLocalConf,
} from "../host-local/conf.ts";
import { candidates, formatRange, rangeOf, type Range, type RangeSet } from "../host-local/ranges.ts";
import { ReservationFolder, type Owner, type Reservations } from "../host-local/reservations.ts";
import type { JsonObject } from "../json.ts";
import { formatIp, formatPrefix, parseIp, sameIp, type IpAddress } from "../ip.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import { emptyResult, type CniIp } from "../result.ts";

/**
 * The address manager that keeps a folder of files on this host: the reference plugin's keys, results and files.
 *
 * @see https://www.cni.dev/plugins/current/ipam/host-local/
 */
export function hostLocalPlugin(): Plugin {
  const folders = new Map<string, ReservationFolder>();
  const folderOf = (conf: JsonObject): ReservationFolder => {
    const path = reservationPath(conf);
    const folder = folders.get(path) ?? new ReservationFolder(path);
    folders.set(path, folder);
    return folder;
  };
  return {
    type: "host-local",
    add: async (call) => {
      const conf = readHostLocalConf(call.conf);
      const wanted = requestedAddresses(call);
      const ips = await folderOf(call.conf).locked(call.signal, (reservations) =>
        reserveAll(conf, reservations, ownerOf(call), wanted),
      );
      const dns = conf.resolvConf === "" ? {} : await readResolvConf(conf.resolvConf);
      return { ...emptyResult, ips, routes: conf.routes, dns };
    },
    del: async (call) => {
      await folderOf(call.conf).locked(call.signal, async (reservations) => {
        // Nothing to release is rare enough to make sure of it.
        if (reservations.ownedBy(ownerOf(call)).length === 0) await reservations.reread();
        for (const address of reservations.ownedBy(ownerOf(call))) await reservations.release(address);
      });
    },
    check: async (call) => {
      await folderOf(call.conf).locked(call.signal, async (reservations) => {
        await reservations.reread();
        if (reservations.ownedBy(ownerOf(call)).length > 0) return;
        throw new RuntimeError(
          "not-found",
          `${reservationPath(call.conf)} has no address of container ${call.containerId}`,
        );
      });
    },
    gc: async (call, valid) => {
      const keep = new Set(valid.map(({ containerID, ifname }) => `${containerID} ${ifname}`));
      await folderOf(call.conf).locked(call.signal, async (reservations) => {
        await reservations.reread();
        for (const [address, owner] of [...reservations.entries()]) {
          if (keep.has(`${owner.containerId} ${owner.ifname}`)) continue;
          await reservations.release(address);
          call.note(`host-local: released ${address} of ${owner.containerId} ${owner.ifname}`);
        }
      });
    },
  };
}

function ownerOf(call: PluginCall): Owner {
  return { containerId: call.containerId, ifname: call.ifname };
}

/** One address of each range set, or none at all. */
async function reserveAll(
  conf: HostLocalConf,
  reservations: Reservations,
  owner: Owner,
  wanted: readonly IpAddress[],
): Promise<CniIp[]> {
  const owned = reservations.ownedBy(owner);
  if (owned.length > 0) {
    throw new RuntimeError(
      "already-exists",
      `network ${conf.network}: ${owned.join(", ")} is already given to ${owner.containerId} ${owner.ifname}`,
    );
  }
  const open = [...wanted];
  const ips: CniIp[] = [];
  try {
    for (const [index, set] of conf.rangeSets.entries()) {
      const found = open.findIndex((address) => rangeOf(set, address) !== undefined);
      const [request] = found === -1 ? [] : open.splice(found, 1);
      ips.push(await reserveOne(conf.network, set, index, reservations, owner, request));
    }
    if (open.length > 0) {
      const list = open.map(formatIp).join(", ");
      throw new RuntimeError("invalid-argument", `network ${conf.network}: ${list} is in no range`);
    }
    return ips;
  } catch (error) {
    for (const address of reservations.ownedBy(owner)) await reservations.release(address);
    throw error;
  }
}

async function reserveOne(
  network: string,
  set: RangeSet,
  index: number,
  reservations: Reservations,
  owner: Owner,
  request: IpAddress | undefined,
): Promise<CniIp> {
  if (request !== undefined) return reserveRequested(network, set, index, reservations, owner, request);
  const last = reservations.lastReserved(index);
  const taken = reservations.entries();
  for (const { address, range } of candidates(set, last === undefined ? undefined : parseIp(last))) {
    const text = formatIp(address);
    if (!taken.has(text) && (await reservations.reserve(text, owner, index))) return given(address, range);
  }
  throw new RuntimeError(
    "resource-exhausted",
    `network ${network}: no address is free in ${set.map(formatRange).join(", ")}`,
  );
}

async function reserveRequested(
  network: string,
  set: RangeSet,
  index: number,
  reservations: Reservations,
  owner: Owner,
  request: IpAddress,
): Promise<CniIp> {
  const range = rangeOf(set, request);
  const text = formatIp(request);
  if (range !== undefined && !sameIp(range.gateway, request)) {
    if (await reservations.reserve(text, owner, index)) return given(request, range);
    throw new RuntimeError("already-exists", `network ${network}: ${text} is given out already`);
  }
  throw new RuntimeError("invalid-argument", `network ${network}: ${text} is the gateway's`);
}

function given(address: IpAddress, range: Range): CniIp {
  return {
    address: formatPrefix({ address, length: range.subnet.length }),
    gateway: formatIp(range.gateway),
  };
}
