import { RuntimeError } from "../core/errors.ts";
import type { DnsConfig, PortMapping } from "../core/pod.ts";
import type { PluginConf } from "./conf.ts";
import { objectField, type JsonObject } from "./json.ts";

/** What of a pod can become a plugin's `runtimeConfig`. */
export interface PodNetworkRequest {
  readonly portMappings: readonly PortMapping[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly dns?: DnsConfig;
  /** The pod's cgroup, as the request names it. */
  readonly cgroupParent?: string;
}

const ingressAnnotation = "kubernetes.io/ingress-bandwidth";
const egressAnnotation = "kubernetes.io/egress-bandwidth";
/** The burst that goes with an annotated rate: other runtimes pass the largest int32, which is no limit. */
const bandwidthBurstBits = 2 ** 31 - 1;

/**
 * The capability arguments by name, under the names that other runtimes use (cni.dev, "Well-known Capabilities").
 * What the pod doesn't ask for is absent. `podCidrs` are the node's ranges of addresses, of each of which the pod gets
 * one. Throws `invalid-argument` for a rate that is no quantity.
 */
export function capabilityArguments(request: PodNetworkRequest, podCidrs: readonly string[]): JsonObject {
  const ports = request.portMappings.filter((mapping) => mapping.hostPort > 0);
  const bandwidth = bandwidthOf(request.annotations ?? {});
  const { dns, annotations, cgroupParent } = request;
  return {
    ...(ports.length === 0 ? {} : { portMappings: ports.map(portMapping) }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
    ...(podCidrs.length === 0 ? {} : { ipRanges: podCidrs.map((subnet) => [{ subnet }]) }),
    ...(dns === undefined
      ? {}
      : { dns: { servers: dns.servers, searches: dns.searches, options: dns.options } }),
    ...(annotations === undefined ? {} : { "io.kubernetes.cri.pod-annotations": annotations }),
    ...(cgroupParent === undefined || cgroupParent === "" ? {} : { cgroupPath: cgroupParent }),
  };
}

/** The `runtimeConfig` of one plugin: the arguments whose capability its configuration declares. */
export function runtimeConfigFor(conf: PluginConf, capabilities: JsonObject): JsonObject | undefined {
  const declared = objectField(conf, "capabilities", `plugin ${conf.type}`) ?? {};
  const wanted = Object.entries(capabilities).filter(([name]) => declared[name] === true);
  return wanted.length === 0 ? undefined : Object.fromEntries(wanted);
}

function portMapping(mapping: PortMapping): JsonObject {
  const { hostPort, containerPort, protocol, hostIp } = mapping;
  return { hostPort, containerPort, protocol, ...(hostIp === "" ? {} : { hostIP: hostIp }) };
}

function bandwidthOf(annotations: Readonly<Record<string, string>>): JsonObject | undefined {
  const ingress = annotations[ingressAnnotation];
  const egress = annotations[egressAnnotation];
  if (ingress === undefined && egress === undefined) return undefined;
  return {
    ...(ingress === undefined
      ? {}
      : { ingressRate: parseRate(ingress, ingressAnnotation), ingressBurst: bandwidthBurstBits }),
    ...(egress === undefined
      ? {}
      : { egressRate: parseRate(egress, egressAnnotation), egressBurst: bandwidthBurstBits }),
  };
}

const suffixes: Readonly<Record<string, number>> = {
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Reads a Kubernetes quantity such as `10M` as bits a second. */
function parseRate(text: string, annotation: string): number {
  const match = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(text);
  const factor = suffixes[match?.[2] ?? "none"];
  const bits = factor === undefined ? Number.NaN : Math.ceil(Number(match?.[1]) * factor);
  if (!Number.isSafeInteger(bits) || bits <= 0) {
    throw new RuntimeError(
      "invalid-argument",
      `annotation ${annotation}: not a rate: ${JSON.stringify(text)}`,
    );
  }
  return bits;
}
