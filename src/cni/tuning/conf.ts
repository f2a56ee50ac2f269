import { RuntimeError } from "../../core/errors.ts";
import { parseArguments } from "../args.ts";
import { booleanField, countField, objectField, stringField, type JsonObject } from "../json.ts";
import { isMac } from "../netlink/link.ts";
import type { PluginCall } from "../plugin.ts";

/** The configuration of the plugin tuning: the reference plugin's keys. */
export interface TuningConf {
  readonly network: string;
  /** Kernel parameters by name, as `net.core.somaxconn`; `IFNAME` stands for the pod's interface. */
  readonly sysctls: readonly (readonly [string, string])[];
  readonly link: LinkTuning;
}

/** What of a link is set; what is absent stays. */
export interface LinkTuning {
  readonly mac?: string;
  readonly mtu?: number;
  readonly promisc?: true;
  readonly allmulti?: boolean;
  readonly txQLen?: number;
}

/** Where what a link had before is kept until DEL: the reference plugin's folder. */
const defaultDataDir = "/run/cni/tuning";

/** Reads the configuration with what the caller asks for on top; throws `invalid-argument` naming the network. */
export function readTuningConf(call: Pick<PluginCall, "conf" | "args">): TuningConf {
  const { conf } = call;
  const network = stringField(conf, "name", "tuning");
  const what = `network ${network}: tuning`;
  const cni = objectField(objectField(conf, "args", what) ?? {}, "cni", what) ?? {};
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const mac =
    stringField(cni, "mac", what) ||
    stringField(runtimeConfig, "mac", what) ||
    (parseArguments(call.args).get("MAC") ?? "") ||
    stringField(conf, "mac", what);
  if (mac !== "" && !isMac(mac)) {
    throw new RuntimeError("invalid-argument", `${what}: not a hardware address: ${JSON.stringify(mac)}`);
  }
  const mtu = countField(cni, "mtu", what) ?? countField(conf, "mtu", what) ?? 0;
  const promisc = "promisc" in cni ? booleanField(cni, "promisc", what) : booleanField(conf, "promisc", what);
  const allmulti = optionalBoolean(cni, "allmulti", what) ?? optionalBoolean(conf, "allmulti", what);
  const txQLen = countField(cni, "txQLen", what) ?? countField(conf, "txQLen", what);
  return {
    network,
    sysctls: [...new Map([...readSysctls(conf, what), ...readSysctls(cni, what)])],
    link: {
      ...(mac === "" ? {} : { mac: mac.toLowerCase() }),
      ...(mtu === 0 ? {} : { mtu }),
      ...(promisc ? { promisc } : {}),
      ...(allmulti === undefined ? {} : { allmulti }),
      ...(txQLen === undefined ? {} : { txQLen }),
    },
  };
}

/** The folder of what links had before. Never throws: DEL must work with what ADD refused. */
export function tuningDataDir(conf: JsonObject): string {
  const given = conf["dataDir"];
  return typeof given === "string" && given !== "" ? given : defaultDataDir;
}

/**
 * The file of a parameter below /proc/sys/net, relative to there. Throws `invalid-argument` for one that is not of the
 * network, or that could be a path to elsewhere.
 */
export function sysctlFile(key: string, ifname: string): string {
  const parts = key
    .replaceAll(".", "/")
    .split("/")
    .map((part) => part.replace("IFNAME", ifname));
  const [first, ...rest] = parts;
  if (
    first !== "net" ||
    rest.length === 0 ||
    rest.some((part) => !/^[A-Za-z0-9_@:-][A-Za-z0-9_.@:-]*$/.test(part))
  ) {
    throw new RuntimeError(
      "invalid-argument",
      `not a kernel parameter of the network: ${JSON.stringify(key)}`,
    );
  }
  return rest.join("/");
}

function readSysctls(object: JsonObject, what: string): [string, string][] {
  return Object.entries(objectField(object, "sysctl", what) ?? {}).map(([key, value]) => {
    if (typeof value === "string") return [key, value];
    throw new RuntimeError("invalid-argument", `${what}: sysctl ${key}: expected a string`);
  });
}

function optionalBoolean(object: JsonObject, key: string, what: string): boolean | undefined {
  return object[key] === undefined || object[key] === null ? undefined : booleanField(object, key, what);
}
