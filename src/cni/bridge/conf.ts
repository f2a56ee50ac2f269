import { RuntimeError } from "../../core/errors.ts";
import { booleanField, countField, objectField, stringField, type JsonObject } from "../json.ts";
import { readDns, type CniDns } from "../result.ts";

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
  /** Bytes; undefined is the kernel's default. */
  readonly mtu?: number;
  /** The pod's hardware address, where the caller wants a certain one. */
  readonly mac?: string;
  /** The `ipam.type`; empty is a network without addresses. */
  readonly ipam: string;
  readonly dns: CniDns;
}

const defaultBridge = "cni0";
/** Keys of newer or rarer use that must not be passed over in silence. */
const unknownKeys = ["vlan", "vlanTrunk", "macspoofchk", "disableContainerInterface"] as const;
/** IFNAMSIZ without its NUL; no slash or blank (dev_valid_name of the kernel). */
const interfaceName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const macPattern = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;

/** Reads a bridge's configuration; throws `invalid-argument`, or `unimplemented` for a key it does not do. */
export function readBridgeConf(conf: JsonObject): BridgeConf {
  const network = stringField(conf, "name", "bridge");
  const what = `network ${network}: bridge`;
  for (const key of unknownKeys) {
    const value = conf[key];
    if (value === undefined || value === null || value === false || value === 0) continue;
    throw new RuntimeError("unimplemented", `${what}: ${key} is not supported`);
  }
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
    ...optionalMtu(countField(conf, "mtu", what)),
    ...wantedMac(conf, what),
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
  return read;
}

/** The capability `mac` wins over `args.cni.mac`. */
function wantedMac(conf: JsonObject, what: string): { mac?: string } {
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const cni = objectField(objectField(conf, "args", what) ?? {}, "cni", what) ?? {};
  const mac = stringField(runtimeConfig, "mac", what) || stringField(cni, "mac", what);
  if (mac === "") return {};
  if (!macPattern.test(mac)) {
    throw new RuntimeError("invalid-argument", `${what}: not a hardware address: ${JSON.stringify(mac)}`);
  }
  return { mac: mac.toLowerCase() };
}

function optionalMtu(mtu: number | undefined): { mtu?: number } {
  return mtu === undefined || mtu === 0 ? {} : { mtu };
}
