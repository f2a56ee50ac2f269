import { RuntimeError } from "../../core/errors.ts";
import { booleanField, countField, objectField, stringField, type JsonObject } from "../json.ts";
import { parseArguments } from "../args.ts";
import type { PluginCall } from "../plugin.ts";
import { readDns, type CniDns } from "../result.ts";
import { readPortVlans, type PortVlans } from "./vlan-conf.ts";

/** The keys of a bridge's configuration that the built-in plugin knows; they mean what the reference plugin says. */
export interface BridgeConf {
  readonly network: string;
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  readonly portIsolation: boolean;
  readonly enableDad: boolean;
  /** Undefined where the network has no VLANs. */
  readonly vlans: PortVlans | undefined;
  /** Whether what the pod sends with another hardware address than its own is dropped. */
  readonly checkMac: boolean;
  /** `down` leaves it to the pod, as virtual machines want it. */
  readonly podLink: "up" | "down";
  /** Bytes; undefined is the kernel's default. */
  readonly mtu?: number;
  /** The pod's hardware address, where the caller wants a certain one. */
  readonly mac?: string;
  /** The `ipam.type`; empty is a network without addresses. */
  readonly ipam: string;
  readonly dns: CniDns;
}

const defaultBridge = "cni0";
/** IFNAMSIZ without its NUL; no slash or blank (dev_valid_name of the kernel). */
const interfaceName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const macPattern = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;

/** Reads a bridge's configuration; throws `invalid-argument`. */
export function readBridgeConf({ conf, args }: Pick<PluginCall, "conf" | "args">): BridgeConf {
  const network = stringField(conf, "name", "bridge");
  const what = `network ${network}: bridge`;
  const isDefaultGateway = booleanField(conf, "isDefaultGateway", what);
  const read: BridgeConf = {
    network,
    bridge: stringField(conf, "bridge", what) || defaultBridge,
    isGateway: booleanField(conf, "isGateway", what) || isDefaultGateway,
    isDefaultGateway,
    forceAddress: booleanField(conf, "forceAddress", what),
    ipMasq: booleanField(conf, "ipMasq", what),
    hairpinMode: booleanField(conf, "hairpinMode", what),
    promiscMode: booleanField(conf, "promiscMode", what),
    portIsolation: booleanField(conf, "portIsolation", what),
    enableDad: booleanField(conf, "enabledad", what),
    vlans: readPortVlans(conf, what),
    checkMac: booleanField(conf, "macspoofchk", what),
    podLink: booleanField(conf, "disableContainerInterface", what) ? "down" : "up",
    ...optionalMtu(countField(conf, "mtu", what)),
    ...wantedMac(conf, args, what),
    ipam: stringField(objectField(conf, "ipam", what) ?? {}, "type", what),
    dns: readDns(objectField(conf, "dns", what) ?? {}, what),
  };
  if (!interfaceName.test(read.bridge)) {
    throw new RuntimeError(
      "invalid-argument",
      `${what}: not an interface's name: ${JSON.stringify(read.bridge)}`,
    );
  }
  if (read.hairpinMode && read.promiscMode) {
    throw new RuntimeError("invalid-argument", `${what}: hairpinMode and promiscMode exclude each other`);
  }
  if (read.podLink === "down" && read.ipam !== "") {
    throw new RuntimeError("invalid-argument", `${what}: disableContainerInterface allows no ipam`);
  }
  return read;
}

/** The capability `mac` wins over `args.cni.mac`, and that over MAC of CNI_ARGS. */
function wantedMac(conf: JsonObject, args: string, what: string): { mac?: string } {
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const cni = objectField(objectField(conf, "args", what) ?? {}, "cni", what) ?? {};
  const mac =
    stringField(runtimeConfig, "mac", what) ||
    stringField(cni, "mac", what) ||
    (parseArguments(args).get("MAC") ?? "");
  if (mac === "") return {};
  if (!macPattern.test(mac)) {
    throw new RuntimeError("invalid-argument", `${what}: not a hardware address: ${JSON.stringify(mac)}`);
  }
  return { mac: mac.toLowerCase() };
}

function optionalMtu(mtu: number | undefined): { mtu?: number } {
  return mtu === undefined || mtu === 0 ? {} : { mtu };
}
