import { readFile, stat } from "node:fs/promises";
import { RuntimeError } from "../../core/errors.ts";
import {
  formatIp,
  formatPrefix,
  networkOf,
  overlaps,
  parseIp,
  parsePrefix,
  sameIp,
  type IpAddress,
  type IpPrefix,
} from "../ip.ts";
import { objectsField, parseJsonObject, stringField, stringsField, type JsonObject } from "../json.ts";

/** A host of the overlay: where it is, and the subnets of its pods. */
export interface Peer {
  readonly address: IpAddress;
  readonly subnets: readonly IpPrefix[];
}

/** Hosts of one overlay. */
export const maxPeers = 1024;
/** Bytes of a peers file. */
const maxPeersFileBytes = 1024 * 1024;

/** Reads a list of peers; throws `invalid-argument` where two share an address or a subnet. */
export function readPeers(object: JsonObject, what: string): Peer[] {
  const peers = objectsField(object, "peers", what).map((entry, index): Peer => {
    const where = `${what}: peers[${index}]`;
    const subnets = stringsField(entry, "subnets", where).map((text) => readSubnet(text, where));
    return { address: parseIp(stringField(entry, "address", where)), subnets };
  });
  if (peers.length > maxPeers) throw invalid(what, `more than ${maxPeers} peers`);
  for (const [index, peer] of peers.entries()) {
    for (const other of peers.slice(index + 1)) requireApart(peer, other, what);
  }
  return peers;
}

/** Reads a peers file, `{"peers": [...]}`; errors name it. */
export async function loadPeersFile(path: string): Promise<Peer[]> {
  const { size } = await stat(path);
  if (size > maxPeersFileBytes) throw invalid(path, `more than ${maxPeersFileBytes} bytes`);
  return readPeers(parseJsonObject(await readFile(path, "utf8"), path), path);
}

function readSubnet(text: string, what: string): IpPrefix {
  const subnet = parsePrefix(text);
  const network = networkOf(subnet);
  if (!sameIp(network.address, subnet.address)) {
    throw invalid(what, `subnet ${text} has host bits set: its network is ${formatPrefix(network)}`);
  }
  return subnet;
}

function requireApart(one: Peer, other: Peer, what: string): void {
  if (sameIp(one.address, other.address)) throw invalid(what, `${formatIp(one.address)} is there twice`);
  for (const subnet of one.subnets) {
    const shared = other.subnets.find((candidate) => overlaps(subnet, candidate));
    if (shared === undefined) continue;
    const [a, b] = [one, other].map(({ address }) => formatIp(address));
    throw invalid(what, `${formatPrefix(subnet)} of ${a} and ${formatPrefix(shared)} of ${b} overlap`);
  }
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
