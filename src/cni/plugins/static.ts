import { RuntimeError } from "../../core/errors.ts";
import { parseArguments } from "../args.ts";
import { contains, formatIp, formatPrefix, parseIp, parsePrefix, sameIp, type IpAddress } from "../ip.ts";
import { objectField, objectsField, stringField, stringsField, type JsonObject } from "../json.ts";
import type { Plugin, PluginCall } from "../plugin.ts";
import { emptyResult, readDns, readRoute, type CniIp } from "../result.ts";

/**
 * The address manager that gives what is written in the configuration, or what the caller asks for: the reference
 * plugin's keys and results. It keeps nothing.
 *
 * @see https://www.cni.dev/plugins/current/ipam/static/
 */
export function staticPlugin(): Plugin {
  return {
    type: "static",
    add: async (call) => {
      const what = `network ${stringField(call.conf, "name", "static")}: ipam static`;
      const ipam = objectField(call.conf, "ipam", what) ?? {};
      return Promise.resolve({
        ...emptyResult,
        ips: addressesOf(call, ipam, what),
        routes: objectsField(ipam, "routes", what).map((route) => readRoute(route, what)),
        dns: readDns(objectField(ipam, "dns", what) ?? {}, what),
      });
    },
    del: () => Promise.resolve(),
    check: async (call) => {
      const what = `network ${stringField(call.conf, "name", "static")}: ipam static`;
      const given = call.prevResult?.ips ?? [];
      for (const { address, gateway } of addressesOf(
        call,
        objectField(call.conf, "ipam", what) ?? {},
        what,
      )) {
        const ip = parsePrefix(address).address;
        const found = given.find((one) => sameIp(parsePrefix(one.address).address, ip));
        // Absent ones are for the plugin that put them on a link to miss.
        if (found === undefined || gateway === undefined || found.gateway === gateway) continue;
        throw new RuntimeError(
          "failed-precondition",
          `${what}: ${address} has the gateway ${found.gateway ?? "none"}, not ${gateway}`,
        );
      }
      return Promise.resolve();
    },
    gc: () => Promise.resolve(),
  };
}

/** The capability `ips` replaces `args.cni.ips`, which replaces the configuration's; CNI_ARGS adds to the latter. */
function addressesOf(call: PluginCall, ipam: JsonObject, what: string): CniIp[] {
  const cni = objectField(objectField(call.conf, "args", what) ?? {}, "cni", what) ?? {};
  const runtimeConfig = objectField(call.conf, "runtimeConfig", what) ?? {};
  for (const asked of [stringsField(runtimeConfig, "ips", what), stringsField(cni, "ips", what)]) {
    if (asked.length > 0) return asked.map((text) => ({ address: prefixText(text, what) }));
  }
  const args = parseArguments(call.args);
  const configured = objectsField(ipam, "addresses", what).map((entry) => {
    const gateway = stringField(entry, "gateway", what);
    const address = prefixText(stringField(entry, "address", what), what);
    return { address, ...(gateway === "" ? {} : { gateway: formatIp(parseIp(gateway)) }) };
  });
  const added = listOf(args.get("IP")).map((text) => ({ address: prefixText(text, what) }));
  const gateways = listOf(args.get("GATEWAY")).map(parseIp);
  return [...configured, ...added].map((ip) => withGateway(ip, gateways));
}

/** The last of the gateways that lies in the address's network. */
function withGateway(ip: CniIp, gateways: readonly IpAddress[]): CniIp {
  const own = gateways.findLast((gateway) => contains(parsePrefix(ip.address), gateway));
  return own === undefined ? ip : { ...ip, gateway: formatIp(own) };
}

function prefixText(text: string, what: string): string {
  try {
    return formatPrefix(parsePrefix(text));
  } catch (error) {
    throw new RuntimeError(
      "invalid-argument",
      `${what}: not an address with a prefix length: ${JSON.stringify(text)}`,
      {
        cause: error,
      },
    );
  }
}

function listOf(text: string | undefined): string[] {
  return text === undefined || text === "" ? [] : text.split(",").map((part) => part.trim());
}
