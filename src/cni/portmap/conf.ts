import { RuntimeError } from "../../core/errors.ts";
import type { NetfilterBackend } from "../iptables/backend.ts";
import { formatIp, parseIp, parsePrefix, type IpAddress, type IpPrefix } from "../ip.ts";
import {
  booleanField,
  countField,
  objectField,
  objectsField,
  stringField,
  stringsField,
  type JsonObject,
} from "../json.ts";
import type { PluginCall } from "../plugin.ts";

/** The protocols that have ports to map. */
export const protocols = ["tcp", "udp", "sctp"] as const;

/** One port of the host that leads to a port of the pod. */
export interface HostPort {
  readonly protocol: (typeof protocols)[number];
  readonly hostPort: number;
  readonly containerPort: number;
  /** The only address of the host that it counts for; undefined is every one of {@link families}. */
  readonly hostIp: IpAddress | undefined;
  readonly families: readonly (4 | 6)[];
}

/** The configuration of the plugin portmap: the reference plugin's keys. */
export interface PortmapConf {
  readonly network: string;
  /** Undefined where the host decides. */
  readonly backend: NetfilterBackend | undefined;
  /** Whether connections of the pod to itself, of its neighbours and of 127.0.0.1 are masqueraded, for they fail else. */
  readonly snat: boolean;
  /** Masquerade every connection, wherever it comes from. */
  readonly masqAll: boolean;
  /** The bit, 0 to 31, that iptables marks packets with that are to be masqueraded. */
  readonly markMasqBit: number;
  /** A chain of somebody else's that sets the mark; undefined is a chain of the plugin's own. */
  readonly externalSetMarkChain: string | undefined;
  /** More to match, in the backend's own syntax. */
  readonly conditions: { readonly 4: readonly string[]; readonly 6: readonly string[] };
  readonly ports: readonly HostPort[];
}

/** Kubernetes uses 14 and 15, Calico 20 to 31 (the reference plugin's choice). */
const defaultMarkBit = 13;
const maxPort = 65_535;
/** An iptables chain's name is no longer than this (XT_EXTENSION_MAXNAMELEN less its NUL). */
const chainName = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,27}$/;

/** Reads the configuration; throws `invalid-argument` naming the network. */
export function readPortmapConf(conf: JsonObject): PortmapConf {
  const network = stringField(conf, "name", "portmap");
  const what = `network ${network}: portmap`;
  const externalSetMarkChain = stringField(conf, "externalSetMarkChain", what) || undefined;
  const markMasqBit = countField(conf, "markMasqBit", what);
  if (externalSetMarkChain !== undefined && markMasqBit !== undefined) {
    throw invalid(what, "externalSetMarkChain and markMasqBit exclude each other");
  }
  if (externalSetMarkChain !== undefined && !chainName.test(externalSetMarkChain)) {
    throw invalid(what, `externalSetMarkChain: not a chain's name: ${JSON.stringify(externalSetMarkChain)}`);
  }
  if ((markMasqBit ?? 0) > 31) throw invalid(what, "markMasqBit must be between 0 and 31");
  const conditions = {
    4: readConditions(conf, "conditionsV4", what),
    6: readConditions(conf, "conditionsV6", what),
  };
  return {
    network,
    backend: backendOf(conf, externalSetMarkChain, conditions, what),
    snat: conf["snat"] === undefined || conf["snat"] === null || booleanField(conf, "snat", what),
    masqAll: booleanField(conf, "masqAll", what),
    markMasqBit: markMasqBit ?? defaultMarkBit,
    externalSetMarkChain,
    conditions,
    ports: readHostPorts(conf, what),
  };
}

/** True where the pod wants a port of the host. Never throws: DEL must work with what ADD refused. */
export function wantsHostPorts(conf: JsonObject): boolean {
  const runtimeConfig = conf["runtimeConfig"];
  if (typeof runtimeConfig !== "object" || runtimeConfig === null) return false;
  const mappings = "portMappings" in runtimeConfig ? runtimeConfig.portMappings : undefined;
  return Array.isArray(mappings) && mappings.length > 0;
}

/** The addresses of the pod's own interface that ports lead to, with their prefix lengths: the first of each family. */
export function podAddresses(call: PluginCall): IpPrefix[] {
  if (call.prevResult === undefined) {
    throw invalid(
      `network ${stringField(call.conf, "name", "portmap")}: portmap`,
      "it must follow another plugin",
    );
  }
  const { interfaces, ips } = call.prevResult;
  const own = ips.filter(({ interface: index }) => {
    const link = index === undefined ? undefined : interfaces[index];
    return link === undefined || (link.name === call.ifname && (link.sandbox ?? "") !== "");
  });
  const prefixes = own.map(({ address }) => parsePrefix(address));
  return ([4, 6] as const).flatMap(
    (family) => prefixes.find(({ address }) => address.family === family) ?? [],
  );
}

/** Writes `8080/tcp`, or `192.0.2.1:8080/tcp`. */
export function formatHostPort({ protocol, hostPort, hostIp }: HostPort): string {
  const address =
    hostIp === undefined ? "" : hostIp.family === 4 ? `${formatIp(hostIp)}:` : `[${formatIp(hostIp)}]:`;
  return `${address}${hostPort}/${protocol}`;
}

function readHostPorts(conf: JsonObject, what: string): HostPort[] {
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const ports = objectsField(runtimeConfig, "portMappings", what).map((entry, index) =>
    readHostPort(entry, `${what}: portMappings[${index}]`),
  );
  const seen = new Set<string>();
  for (const port of ports) {
    for (const family of port.families) {
      const name = `IPv${family} ${formatHostPort(port)}`;
      if (seen.has(name)) throw invalid(what, `host port ${formatHostPort(port)} is asked for twice`);
      seen.add(name);
    }
  }
  return ports;
}

function readHostPort(entry: JsonObject, what: string): HostPort {
  const name = stringField(entry, "protocol", what).toLowerCase() || "tcp";
  const protocol = protocols.find((one) => one === name);
  if (protocol === undefined) throw invalid(what, `protocol ${JSON.stringify(name)} has no ports to map`);
  const text = stringField(entry, "hostIP", what);
  const hostIp = text === "" ? undefined : parseIp(text);
  return {
    protocol,
    hostPort: readPort(entry, "hostPort", what),
    containerPort: readPort(entry, "containerPort", what),
    // 0.0.0.0 and :: are every address of their family.
    hostIp: hostIp?.value === 0n ? undefined : hostIp,
    families: hostIp === undefined ? [4, 6] : [hostIp.family],
  };
}

function readPort(entry: JsonObject, key: string, what: string): number {
  const port = countField(entry, key, what) ?? 0;
  if (port < 1 || port > maxPort) throw invalid(what, `${key} ${port} is not a port`);
  return port;
}

function readConditions(conf: JsonObject, key: string, what: string): string[] {
  const conditions = stringsField(conf, key, what).filter((text) => text !== "");
  for (const text of conditions) {
    // Each is one word of a rule; these would begin another one.
    if (/[\n;#]/.test(text)) throw invalid(what, `${key}: cannot hold ${JSON.stringify(text)}`);
  }
  return conditions;
}

/** The backend that is asked for, or that the keys are written for; a contradiction throws. */
function backendOf(
  conf: JsonObject,
  externalSetMarkChain: string | undefined,
  conditions: PortmapConf["conditions"],
  what: string,
): NetfilterBackend | undefined {
  const needs = new Map<NetfilterBackend, string>();
  if (externalSetMarkChain !== undefined) needs.set("iptables", "externalSetMarkChain");
  for (const family of [4, 6] as const) {
    const [first] = conditions[family];
    if (first !== undefined) needs.set(/^[-!]/.test(first) ? "iptables" : "nftables", `conditionsV${family}`);
  }
  const asked = stringField(conf, "backend", what);
  if (asked !== "") needs.set(parseBackend(asked, what), "backend");
  const [first, second] = needs.entries();
  if (first !== undefined && second !== undefined) {
    throw invalid(what, `${first[1]} is written for ${first[0]}, ${second[1]} for ${second[0]}`);
  }
  return first?.[0];
}

function parseBackend(text: string, what: string): NetfilterBackend {
  if (text === "iptables" || text === "nftables") return text;
  throw invalid(what, `backend ${JSON.stringify(text)} is neither nftables nor iptables`);
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
