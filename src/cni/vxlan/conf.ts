import { isAbsolute, join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { parseIp, type IpAddress } from "../ip.ts";
import { countField, stringField, type JsonObject } from "../json.ts";
import { readPeers, type Peer } from "./peers.ts";

/**
 * How hosts are joined. `routed`: each has subnets of its own, and packets are routed between them. `bridged`: the
 * bridges of all are one network.
 */
export type VxlanMode = "routed" | "bridged";

/** The vxlan plugin's configuration. */
export interface VxlanConf {
  readonly network: string;
  readonly mode: VxlanMode;
  readonly vni: number;
  readonly port: number;
  readonly device: string;
  /** Bytes; undefined is what fits into the packets of the link with the host's address. */
  readonly mtu?: number;
  /** This host's address; undefined is the one of the peers' that the host has. */
  readonly address?: IpAddress;
  readonly peers: readonly Peer[];
  /** Path of a file with more peers; empty is none. */
  readonly peersFile: string;
}

/** IANA's port for VXLAN. */
const defaultPort = 4789;
/** Where it is noted who uses an overlay: gone after a reboot, as the device is. */
const defaultDataDir = "/run/cni/vxlan";
const maxVni = 2 ** 24 - 1;
const interfaceName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/** Reads the configuration; throws `invalid-argument` naming the network. */
export function readVxlanConf(conf: JsonObject): VxlanConf {
  const network = stringField(conf, "name", "vxlan");
  const what = `network ${network}: vxlan`;
  const inRange = (key: string, fallback: number | undefined, most: number): number => {
    const value = countField(conf, key, what) ?? fallback;
    if (value !== undefined && value >= 1 && value <= most) return value;
    throw new RuntimeError("invalid-argument", `${what}: ${key}: expected 1 to ${most}`);
  };
  const mode = stringField(conf, "mode", what) || "routed";
  if (mode !== "routed" && mode !== "bridged") {
    throw new RuntimeError("invalid-argument", `${what}: mode: expected routed or bridged, not ${mode}`);
  }
  const address = stringField(conf, "address", what);
  const mtu = countField(conf, "mtu", what) ?? 0;
  const read: VxlanConf = {
    network,
    mode,
    vni: inRange("vni", undefined, maxVni),
    port: inRange("port", defaultPort, 65_535),
    device: deviceOf(conf),
    ...(mtu === 0 ? {} : { mtu }),
    ...(address === "" ? {} : { address: parseIp(address) }),
    peers: readPeers(conf, what),
    peersFile: stringField(conf, "peersFile", what),
  };
  if (!interfaceName.test(read.device)) {
    throw new RuntimeError(
      "invalid-argument",
      `${what}: not an interface's name: ${JSON.stringify(read.device)}`,
    );
  }
  if (read.peersFile !== "" && !isAbsolute(read.peersFile)) {
    throw new RuntimeError("invalid-argument", `${what}: peersFile: expected an absolute path`);
  }
  return read;
}

/** The device's name. Never throws: DEL must work with what ADD refused. */
export function deviceOf(conf: JsonObject): string {
  const { device, vni } = conf;
  return typeof device === "string" && device !== "" ? device : `vxlan${String(vni)}`;
}

/** The folder that notes the overlay's users. Never throws, as {@link deviceOf}. */
export function usersPath(conf: JsonObject): string {
  const { dataDir } = conf;
  const folder = typeof dataDir === "string" && dataDir !== "" ? dataDir : defaultDataDir;
  return join(folder, stringField(conf, "name", "vxlan"));
}
