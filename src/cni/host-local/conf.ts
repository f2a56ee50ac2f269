import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { parseArguments } from "../args.ts";
import { parseIp, parsePrefix, type IpAddress } from "../ip.ts";
import {
  listField,
  objectField,
  objectsField,
  requireObject,
  stringField,
  stringsField,
  type JsonObject,
} from "../json.ts";
import type { PluginCall } from "../plugin.ts";
import { readRoute, type CniDns, type CniRoute } from "../result.ts";
import { readRange, requireDisjoint, type RangeSet } from "./ranges.ts";

/** The `ipam` part of a configuration whose type is host-local. */
export interface HostLocalConf {
  readonly network: string;
  readonly rangeSets: readonly RangeSet[];
  readonly routes: readonly CniRoute[];
  /** Path of a resolv.conf whose content becomes the result's `dns`; empty is none. */
  readonly resolvConf: string;
}

/** The reference plugin's folder. */
const defaultDataDir = "/var/lib/cni/networks";

/** Reads the ipam part; throws `invalid-argument` naming the network. */
export function readHostLocalConf(conf: JsonObject): HostLocalConf {
  const network = stringField(conf, "name", "host-local");
  const what = `network ${network}: ipam host-local`;
  const ipam = objectField(conf, "ipam", what) ?? {};
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const rangeSets = [
    ...readRangeSets(runtimeConfig, "ipRanges", what),
    ...(stringField(ipam, "subnet", what) === "" ? [] : [[readRange(ipam, what)]]),
    ...readRangeSets(ipam, "ranges", what),
  ];
  // Checked here, used by reservationPath.
  stringField(ipam, "dataDir", what);
  if (rangeSets.length === 0) throw new RuntimeError("invalid-argument", `${what}: no ranges`);
  requireDisjoint(rangeSets, what);
  return {
    network,
    rangeSets,
    routes: objectsField(ipam, "routes", what).map((route) => readRoute(route, what)),
    resolvConf: stringField(ipam, "resolvConf", what),
  };
}

/** The folder of a network's reservations. Never throws: DEL must work with what ADD refused. */
export function reservationPath(conf: JsonObject): string {
  const ipam = conf["ipam"];
  const given = typeof ipam === "object" && ipam !== null && "dataDir" in ipam ? ipam.dataDir : "";
  const dataDir = typeof given === "string" && given !== "" ? given : defaultDataDir;
  return join(dataDir, stringField(conf, "name", "host-local"));
}

/** The addresses that the caller wants: from CNI_ARGS, `args.cni.ips` and the capability `ips`. */
export function requestedAddresses(call: PluginCall): IpAddress[] {
  const what = "host-local";
  const fromArguments = parseArguments(call.args).get("IP");
  const cni = objectField(objectField(call.conf, "args", what) ?? {}, "cni", what) ?? {};
  const runtimeConfig = objectField(call.conf, "runtimeConfig", what) ?? {};
  const texts = [
    ...(fromArguments === undefined ? [] : fromArguments.split(",")),
    ...stringsField(cni, "ips", what),
    ...stringsField(runtimeConfig, "ips", what),
  ];
  return texts.map((text) => (text.includes("/") ? parsePrefix(text).address : parseIp(text)));
}

/** Reads a resolv.conf(5) into a result's `dns`. */
export async function readResolvConf(path: string): Promise<CniDns> {
  const dns = { nameservers: [] as string[], domain: "", search: [] as string[], options: [] as string[] };
  for (const line of (await readFile(path, "utf8")).split("\n")) {
    const [key, ...values] = line.trim().split(/\s+/);
    if (key === "nameserver" && values[0] !== undefined) dns.nameservers.push(values[0]);
    else if (key === "domain" && values[0] !== undefined) dns.domain = values[0];
    else if (key === "search") dns.search.push(...values);
    else if (key === "options") dns.options.push(...values);
  }
  return dns;
}

function readRangeSets(object: JsonObject, key: string, what: string): RangeSet[] {
  return listField(object, key, what).map((set, index) => {
    const where = `${what}: ${key}[${index}]`;
    if (!Array.isArray(set)) throw new RuntimeError("invalid-argument", `${where}: expected a list`);
    return set.map((range) => readRange(requireObject(range, where), where));
  });
}
