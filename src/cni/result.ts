import { parseIp, parsePrefix } from "./ip.ts";
import { countField, objectField, objectsField, stringField, stringsField, type JsonObject } from "./json.ts";
import { isVersionAtLeast, type CniVersion } from "./version.ts";

/** A link that a plugin made or found; `sandbox` is the path of the namespace it is in, absent on the host. */
export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

/** An address with its prefix length; `interface` is an index into the result's interfaces. */
export interface CniIp {
  readonly address: string;
  readonly gateway?: string;
  readonly interface?: number;
}

/** A route of the pod. */
export interface CniRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

/** What the plugin knows of name servers. */
export interface CniDns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** What ADD gives, in the terms of the newest spec (CNI spec 1.1, section 5). */
export interface CniResult {
  readonly interfaces: readonly CniInterface[];
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
  readonly dns: CniDns;
}

/** A result with nothing in it. */
export const emptyResult: CniResult = { interfaces: [], ips: [], routes: [], dns: {} };

/** Reads a result of any version that this runtime speaks; bad addresses throw `invalid-argument`. */
export function readResult(object: JsonObject, what: string): CniResult {
  return {
    interfaces: objectsField(object, "interfaces", what).map((entry) => readInterface(entry, what)),
    ips: objectsField(object, "ips", what).map((entry) => readIp(entry, what)),
    routes: objectsField(object, "routes", what).map((entry) => readRoute(entry, what)),
    dns: readDns(objectField(object, "dns", what) ?? {}, what),
  };
}

/** Writes a result as plugins of `version` expect it; what that version lacks is left out. */
export function writeResult(result: CniResult, version: CniVersion): JsonObject {
  const hasNewFields = isVersionAtLeast(version, "1.1.0");
  const ips = isVersionAtLeast(version, "1.0.0")
    ? result.ips
    : result.ips.map((ip) => ({ version: ip.address.includes(":") ? "6" : "4", ...ip }));
  return {
    cniVersion: version,
    ...(result.interfaces.length === 0
      ? {}
      : { interfaces: hasNewFields ? result.interfaces : result.interfaces.map(oldInterface) }),
    ...(ips.length === 0 ? {} : { ips }),
    ...(result.routes.length === 0
      ? {}
      : { routes: hasNewFields ? result.routes : result.routes.map(oldRoute) }),
    dns: result.dns,
  };
}

/** Reads the `dns` object of a conf or result. */
export function readDns(object: JsonObject, what: string): CniDns {
  const domain = stringField(object, "domain", what);
  return {
    ...optionalList("nameservers", stringsField(object, "nameservers", what)),
    ...(domain === "" ? {} : { domain }),
    ...optionalList("search", stringsField(object, "search", what)),
    ...optionalList("options", stringsField(object, "options", what)),
  };
}

/** Reads one route of a conf or result. */
export function readRoute(entry: JsonObject, what: string): CniRoute {
  const dst = stringField(entry, "dst", what);
  const gw = stringField(entry, "gw", what);
  parsePrefix(dst);
  if (gw !== "") parseIp(gw);
  return {
    dst,
    ...(gw === "" ? {} : { gw }),
    ...counts(entry, ["mtu", "advmss", "priority", "table", "scope"], what),
  };
}

function readInterface(entry: JsonObject, what: string): CniInterface {
  return {
    name: stringField(entry, "name", what),
    ...texts(entry, ["mac", "sandbox", "socketPath", "pciID"], what),
    ...counts(entry, ["mtu"], what),
  };
}

function readIp(entry: JsonObject, what: string): CniIp {
  const address = stringField(entry, "address", what);
  parsePrefix(address);
  return { address, ...texts(entry, ["gateway"], what), ...counts(entry, ["interface"], what) };
}

function oldInterface({ name, mac, sandbox }: CniInterface): CniInterface {
  return { name, ...(mac === undefined ? {} : { mac }), ...(sandbox === undefined ? {} : { sandbox }) };
}

function oldRoute({ dst, gw }: CniRoute): CniRoute {
  return gw === undefined ? { dst } : { dst, gw };
}

function texts<K extends string>(
  entry: JsonObject,
  keys: readonly K[],
  what: string,
): Partial<Record<K, string>> {
  const present = keys.filter((key) => stringField(entry, key, what) !== "");
  return Object.fromEntries(present.map((key) => [key, entry[key]])) as Partial<Record<K, string>>;
}

function counts<K extends string>(
  entry: JsonObject,
  keys: readonly K[],
  what: string,
): Partial<Record<K, number>> {
  const present = keys.filter((key) => countField(entry, key, what) !== undefined);
  return Object.fromEntries(present.map((key) => [key, entry[key]])) as Partial<Record<K, number>>;
}

function optionalList<K extends string>(
  key: K,
  list: readonly string[],
): Partial<Record<K, readonly string[]>> {
  return (list.length === 0 ? {} : { [key]: list }) as Partial<Record<K, readonly string[]>>;
}
