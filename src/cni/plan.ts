import { RuntimeError } from "../core/errors.ts";
import type { PodId } from "../core/ids.ts";
import { podArguments, type PodIdentity } from "./args.ts";
import { capabilityArguments, type PodNetworkRequest } from "./capability-arguments.ts";
import type { NetworkConf, PluginConf } from "./conf.ts";
import type { JsonObject } from "./json.ts";
import { networksAnnotation, parseSelections, type NetworkSelection } from "./network-selection.ts";
import type { AttachmentRecord } from "./record.ts";

/** A pod that is to get a network. */
export interface NetworkedPod extends PodIdentity, PodNetworkRequest {
  readonly id: PodId;
}

/** Whether pods may ask for more networks than the one that all get. */
export type AdditionalNetworks = "off" | "annotation";

/** What decides which networks a pod gets. */
export interface PlanSources {
  /** The interface of the pod's own network. */
  readonly ifname: string;
  /** The network of all pods; throws where there is none. */
  readonly currentNetwork: () => NetworkConf;
  /** Every network by name. */
  readonly networks: () => ReadonlyMap<string, NetworkConf>;
  readonly additionalNetworks: AdditionalNetworks;
  /** The node's ranges of pod addresses, as the kubelet told them. */
  readonly podCidrs: () => readonly string[];
}

/**
 * What a pod is to be attached to, its own network first. Throws `invalid-argument` or `not-found` for a network that
 * cannot be had, before anything is done.
 */
export function planAttachments(pod: NetworkedPod, netns: string, sources: PlanSources): AttachmentRecord[] {
  const common = { podId: pod.id, netns, args: podArguments(pod), state: { state: "intent" } } as const;
  const own: AttachmentRecord = {
    ...common,
    position: 0,
    ifname: sources.ifname,
    capabilities: capabilityArguments(pod, sources.podCidrs()),
    network: sources.currentNetwork(),
  };
  const annotation = pod.annotations?.[networksAnnotation];
  if (sources.additionalNetworks === "off" || annotation === undefined) return [own];
  const additional = parseSelections(annotation).map((selection, index): AttachmentRecord => ({
    ...common,
    position: index + 1,
    ifname: selection.interfaceName === "" ? `net${index + 1}` : selection.interfaceName,
    capabilities: { ...ofEveryNetwork(own.capabilities), ...selection.capabilities },
    network: selectedNetwork(selection, sources.networks()),
  }));
  requireDistinctInterfaces([{ ifname: "lo" }, own, ...additional]);
  return [own, ...additional];
}

/** What tells of the pod itself; its ports, rates and name servers are for its own network alone. */
function ofEveryNetwork(capabilities: JsonObject): JsonObject {
  const names = ["io.kubernetes.cri.pod-annotations", "cgroupPath"];
  return Object.fromEntries(Object.entries(capabilities).filter(([name]) => names.includes(name)));
}

function selectedNetwork(
  selection: NetworkSelection,
  networks: ReadonlyMap<string, NetworkConf>,
): NetworkConf {
  const network = networks.get(selection.name);
  if (network === undefined) {
    const names = [...networks.keys()].join(", ");
    throw new RuntimeError(
      "not-found",
      `annotation ${networksAnnotation}: no network ${selection.name} is configured; there are: ${names}`,
    );
  }
  for (const capability of Object.keys(selection.capabilities)) {
    if (network.plugins.some((plugin) => declares(plugin, capability))) continue;
    throw new RuntimeError(
      "invalid-argument",
      `annotation ${networksAnnotation}: no plugin of network ${network.name} has the capability ${capability}`,
    );
  }
  if (Object.keys(selection.cniArgs).length === 0) return network;
  return { ...network, plugins: network.plugins.map((plugin) => withArgs(plugin, selection.cniArgs)) };
}

function declares(plugin: PluginConf, capability: string): boolean {
  const { capabilities } = plugin;
  return (
    typeof capabilities === "object" &&
    capabilities !== null &&
    (capabilities as JsonObject)[capability] === true
  );
}

function withArgs(plugin: PluginConf, cniArgs: JsonObject): PluginConf {
  const args = (plugin["args"] ?? {}) as JsonObject;
  return { ...plugin, args: { ...args, cni: { ...(args["cni"] as JsonObject | undefined), ...cniArgs } } };
}

function requireDistinctInterfaces(attachments: readonly { readonly ifname: string }[]): void {
  const seen = new Set<string>();
  for (const { ifname } of attachments) {
    if (seen.has(ifname)) {
      throw new RuntimeError(
        "invalid-argument",
        `annotation ${networksAnnotation}: the interface ${ifname} is asked for twice`,
      );
    }
    seen.add(ifname);
  }
}
