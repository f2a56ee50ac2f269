import { RuntimeError } from "../../core/errors.ts";
import { parseArguments } from "../args.ts";
import { booleanField, countField, objectField, stringField } from "../json.ts";
import { isMac, macvlanModes } from "../netlink/link.ts";
import type { PluginCall } from "../plugin.ts";
import { readDns, type CniDns } from "../result.ts";

/** The configuration of the plugin macvlan: the reference plugin's keys. */
export interface MacvlanConf {
  readonly network: string;
  /** The link it hangs on; empty is the one of the default route. */
  readonly master: string;
  /** Whether that link is in the pod's namespace already. */
  readonly linkInContainer: boolean;
  readonly mode: keyof typeof macvlanModes;
  /** Bytes; undefined is that of the link it hangs on. */
  readonly mtu: number | undefined;
  readonly mac: string | undefined;
  readonly broadcastQueue: number | undefined;
  readonly ipam: string;
  readonly dns: CniDns;
}

/** Reads the configuration; throws `invalid-argument` naming the network. */
export function readMacvlanConf({ conf, args }: Pick<PluginCall, "conf" | "args">): MacvlanConf {
  const network = stringField(conf, "name", "macvlan");
  const what = `network ${network}: macvlan`;
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const mac =
    stringField(runtimeConfig, "mac", what) ||
    (parseArguments(args).get("MAC") ?? "") ||
    stringField(conf, "mac", what);
  if (mac !== "" && !isMac(mac)) {
    throw new RuntimeError("invalid-argument", `${what}: not a hardware address: ${JSON.stringify(mac)}`);
  }
  const mtu = countField(conf, "mtu", what) ?? 0;
  const broadcastQueue = countField(conf, "bcqueuelen", what) ?? 0;
  return {
    network,
    master: stringField(conf, "master", what),
    linkInContainer: booleanField(conf, "linkInContainer", what),
    mode: readMode(stringField(conf, "mode", what), what),
    mtu: mtu === 0 ? undefined : mtu,
    mac: mac === "" ? undefined : mac.toLowerCase(),
    broadcastQueue: broadcastQueue === 0 ? undefined : broadcastQueue,
    ipam: stringField(objectField(conf, "ipam", what) ?? {}, "type", what),
    dns: readDns(objectField(conf, "dns", what) ?? {}, what),
  };
}

function readMode(text: string, what: string): keyof typeof macvlanModes {
  if (text === "") return "bridge";
  if (Object.hasOwn(macvlanModes, text)) return text as keyof typeof macvlanModes;
  const known = Object.keys(macvlanModes).join(", ");
  throw new RuntimeError("invalid-argument", `${what}: mode ${JSON.stringify(text)} is none of ${known}`);
}
