import type { Job } from "../core/job.ts";
import type { Store } from "../store/index.ts";
import { addressesOf, Attachments, silentJob, type PodAddresses } from "./attachments.ts";
import { ConfFolder, type NetworkStatus } from "./conf-folder.ts";
import type { NetworkConf } from "./conf.ts";
import { collectGarbage } from "./garbage.ts";
import { openHostNetwork } from "./host-network.ts";
import { inTurn } from "./in-turn.ts";
import { pluginLookup } from "./lookup.ts";
import { NetworkGate } from "./network-gate.ts";
import { networkStatusOf, type NetworkStatusEntry } from "./network-status.ts";
import type { AdditionalNetworks, NetworkedPod } from "./plan.ts";
import { builtInPlugins } from "./plugins/built-in.ts";
import { loopbackPlugin } from "./plugins/loopback.ts";
import { vxlanPlugin } from "./plugins/vxlan.ts";
import { PodCidrs } from "./pod-cidrs.ts";
import { Readiness } from "./readiness.ts";
import { Reconciler } from "./reconciler.ts";
import { RecordBook, type AttachmentRecord, type AttachmentState } from "./record.ts";

/** Where things are, and whom to tell. */
export interface PodNetworksOptions {
  /** Folder of configurations, such as /etc/cni/net.d. */
  readonly confDir: string;
  /** Folders of plugin programs, such as /opt/cni/bin. */
  readonly binDirs: readonly string[];
  readonly store: Store;
  /** The environment of plugin programs and of nft; PATH at least. */
  readonly environment: Readonly<Record<string, string>>;
  /** The pod's interface; `eth0` where absent. */
  readonly ifname?: string;
  /** Whether pods may ask for more networks; `off` where absent. */
  readonly additionalNetworks?: AdditionalNetworks;
  readonly onInfo: (message: string) => void;
  readonly onWarning: (message: string) => void;
}

/** An attachment as reconciliation sees it. */
export interface AttachmentEntry {
  readonly podId: string;
  readonly netns: string;
  readonly network: string;
  readonly state: AttachmentState["state"];
}

/** Attaches pods to the networks that the configuration folder names, and takes them off again. */
export interface PodNetworks extends AsyncDisposable {
  /** The NetworkReady condition; from memory. */
  status(): NetworkStatus;
  /** Throws `failed-precondition` where there is no network for new pods, whatever its plugins say of themselves. */
  requireNetwork(): void;
  /**
   * Attaches a pod: loopback and the chain of plugins, then the networks it asks for besides. What an earlier,
   * unfinished attach left is undone first. A failure is undone, or recorded and tried again until it is.
   */
  attach(pod: NetworkedPod, netnsPath: string, job: Job, deadline: AbortSignal): Promise<PodAddresses>;
  /**
   * Takes a pod off, by what was recorded when it was attached. Succeeds where there is nothing to do; works when the
   * namespace is gone. A failure is thrown, and tried again in the background until it succeeds.
   */
  detach(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Runs CHECK; throws what is wrong with the pod's network. */
  check(podId: string, job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Every attachment that has a record, for reconciliation at start: detach those whose pod is gone. */
  entries(): AttachmentEntry[];
  /** What a pod got in its own network, from its record. */
  addresses(podId: string): PodAddresses | undefined;
  /** What a pod got in every network, its own first, in the form of the network-status annotation. */
  networkStatus(podId: string): NetworkStatusEntry[];
  /** Takes the node's ranges of pod addresses, with commas between; throws `invalid-argument`. */
  setPodCidrs(text: string): Promise<void>;
  /** CNI GC: frees what is still held for pods without a record, and the rules of networks that nobody uses now. */
  collectGarbage(job: Job | undefined, deadline: AbortSignal): Promise<void>;
}

/** Opens the host's sockets, reads the records and the configuration. Call it once, on the main thread. */
export async function openPodNetworks(options: PodNetworksOptions): Promise<PodNetworks> {
  await using opening = new AsyncDisposableStack();
  const host = opening.use(openHostNetwork(options.environment));
  const records = await RecordBook.open(options.store, (key, reason) => {
    options.onWarning(`cni: the record of pod ${key} is damaged and passed over: ${reason}`);
  });
  const podCidrs = await PodCidrs.open(options.store);
  const loopback = loopbackPlugin();
  const { environment, onWarning } = options;
  const vxlan = opening.use(vxlanPlugin({ host, onWarning }));
  const lookup = pluginLookup([...builtInPlugins(host), vxlan], {
    folders: options.binDirs,
    environment,
  });
  const readiness = opening.use(new Readiness({ lookup, onWarning }));
  const reconciler = opening.use(new Reconciler({ lookup, records, onWarning }));
  const confFolder = opening.use(
    await openConfFolder(options, (networks) => {
      // Asked at once, so that the answer is there when somebody wants it.
      if (networks[0] !== undefined) readiness.failure(networks[0]);
      reconciler.start(networks);
    }),
  );
  // A folder without a network is no change, and its old pods are still there.
  if (confFolder.networks().size === 0) reconciler.start([]);
  const gate = new NetworkGate();
  const attachments = opening.use(
    new Attachments({
      records,
      gate,
      lookup,
      loopback,
      ifname: options.ifname ?? "eth0",
      currentNetwork: () => confFolder.current(),
      networks: () => confFolder.networks(),
      additionalNetworks: options.additionalNetworks ?? "off",
      podCidrs: () => podCidrs.current(),
      onWarning,
    }),
  );
  attachments.resumeTeardowns();

  /** Rules and reservations of a network stay while it has pods, or is the one that new pods get. */
  const collect = async (
    network: NetworkConf,
    job: Job | undefined,
    deadline: AbortSignal,
  ): Promise<void> => {
    await collectGarbage(network, { records, gate, lookup, job: job ?? silentJob, deadline });
    const isUsed = records.all().some((record) => record.network.name === network.name);
    if (isUsed || confFolder.networks().has(network.name)) return;
    await host.masquerade.remove(network.name, deadline);
    await records.forgetNetwork(network.name);
  };
  const resources = opening.move();
  return {
    status: () => {
      const status = confFolder.status();
      const failure = status.ready ? readiness.failure(confFolder.current()) : "";
      if (failure === "") return status;
      const message = status.message === "" ? failure : `${failure}; ${status.message}`;
      return { ready: false, reason: "NetworkPluginNotReady", message };
    },
    requireNetwork: () => void confFolder.current(),
    attach: (...call) => attachments.attach(...call),
    detach: (...call) => attachments.detach(...call),
    check: (...call) => attachments.check(...call),
    entries: () => records.all().map(entryOf),
    addresses: (podId) => {
      const [own] = records.ofPod(podId);
      return own?.state.state === "attached" ? addressesOf(own.state.result) : undefined;
    },
    networkStatus: (podId) => networkStatusOf(records.ofPod(podId)),
    setPodCidrs: (text) => podCidrs.set(text),
    collectGarbage: (job, deadline) =>
      inTurn(knownNetworks(confFolder, records).map((network) => () => collect(network, job, deadline))),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function openConfFolder(
  options: PodNetworksOptions,
  onChange: (networks: readonly NetworkConf[]) => void,
): Promise<ConfFolder> {
  return ConfFolder.open(options.confDir, ({ networks, file, bad }) => {
    for (const { reason } of bad) options.onWarning(`cni: passed over: ${reason}`);
    if (file !== undefined) options.onInfo(`cni: new pods use ${file}`);
    onChange(networks);
  });
}

/** The current network and every one that was ever used, each once, as it is configured now where it still is. */
function knownNetworks(confFolder: ConfFolder, records: RecordBook): NetworkConf[] {
  const used = [...records.usedNetworks(), ...records.all().map(({ network }) => network)];
  const byName = new Map(used.map((network) => [network.name, network]));
  for (const network of confFolder.networks().values()) {
    if (byName.has(network.name)) byName.set(network.name, network);
  }
  if (confFolder.status().ready) byName.set(confFolder.current().name, confFolder.current());
  return [...byName.values()];
}

function entryOf({ podId, netns, network, state }: AttachmentRecord): AttachmentEntry {
  return { podId, netns, network: network.name, state: state.state };
}
