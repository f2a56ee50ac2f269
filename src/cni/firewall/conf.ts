import { RuntimeError } from "../../core/errors.ts";
import { stringField, type JsonObject } from "../json.ts";

/** Who may reach a network's pods: everybody, none from other networks of this kind, or none from their own either. */
export type IngressPolicy = "open" | "same-bridge" | "isolated";

/** What the plugin's rules can be written for; firewalld is told by firewall-cmd(1). */
export type FirewallBackend = "iptables" | "nftables" | "firewalld";

/** The configuration of the plugin firewall: the reference plugin's keys. */
export interface FirewallConf {
  readonly network: string;
  /** Undefined where the host decides. */
  readonly backend: FirewallBackend | undefined;
  /** The chain in which the administrator's rules go before the plugin's. */
  readonly adminChain: string;
  readonly zone: string;
  readonly ingressPolicy: IngressPolicy;
}

const backends: readonly string[] = ["iptables", "nftables", "firewalld"] satisfies FirewallBackend[];
const policies: readonly string[] = ["open", "same-bridge", "isolated"] satisfies IngressPolicy[];
/** An iptables chain's name is no longer than this (XT_EXTENSION_MAXNAMELEN less its NUL). */
const chainName = /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,27}$/;
const zoneName = /^[A-Za-z0-9_][A-Za-z0-9_-]*$/;

/** Reads the configuration; throws `invalid-argument` naming the network. */
export function readFirewallConf(conf: JsonObject): FirewallConf {
  const network = stringField(conf, "name", "firewall");
  const what = `network ${network}: firewall`;
  const backend = stringField(conf, "backend", what);
  const ingressPolicy = stringField(conf, "ingressPolicy", what) || "open";
  const adminChain = stringField(conf, "iptablesAdminChainName", what) || "CNI-ADMIN";
  const zone = stringField(conf, "firewalldZone", what) || "trusted";
  if (backend !== "" && !backends.includes(backend)) {
    throw invalid(what, `backend ${JSON.stringify(backend)} is none of ${backends.join(", ")}`);
  }
  if (!policies.includes(ingressPolicy)) {
    throw invalid(what, `ingressPolicy ${JSON.stringify(ingressPolicy)} is none of ${policies.join(", ")}`);
  }
  if (!chainName.test(adminChain)) {
    throw invalid(what, `iptablesAdminChainName: not a chain's name: ${JSON.stringify(adminChain)}`);
  }
  if (!zoneName.test(zone)) throw invalid(what, `firewalldZone: not a zone's name: ${JSON.stringify(zone)}`);
  return {
    network,
    backend: backend === "" ? undefined : (backend as FirewallBackend),
    adminChain,
    zone,
    ingressPolicy: ingressPolicy as IngressPolicy,
  };
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
