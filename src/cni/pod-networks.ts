import type { Job } from "../core/job.ts";
import type { Store } from "../store/index.ts";
import { addressesOf, Attachments, silentJob, type NetworkedPod, type PodAddresses } from "./attachments.ts";
import { ConfFolder, type NetworkStatus } from "./conf-folder.ts";
import type { NetworkConf } from "./conf.ts";
import { collectGarbage } from "./garbage.ts";
import { openHostNetwork } from "./host-network.ts";
import { pluginLookup } from "./lookup.ts";
import { bridgePlugin } from "./plugins/bridge.ts";
import { hostLocalPlugin } from "./plugins/host-local.ts";
import { loopbackPlugin } from "./plugins/loopback.ts";
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

/** Attaches pods to the network that the configuration folder names, and takes them off again. */
export interface PodNetworks extends AsyncDisposable {
  /** The NetworkReady condition; from memory. */
  status(): NetworkStatus;
  /**
   * Attaches a pod: loopback and the chain of plugins. What an earlier, unfinished attach left is undone first. A
   * failure is undone, or recorded and tried again until it is.
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
  /** What a pod got, from its record. */
  addresses(podId: string): PodAddresses | undefined;
  /** CNI GC: frees what plugins still hold for pods without a record. */
  collectGarbage(job: Job | undefined, deadline: AbortSignal): Promise<void>;
  /** Removes the masquerading rules of networks without pods. */
  removeUnusedRules(deadline: AbortSignal): Promise<void>;
}

/** Opens the host's sockets, reads the records and the configuration. Call it once, on the main thread. */
export async function openPodNetworks(options: PodNetworksOptions): Promise<PodNetworks> {
  await using opening = new AsyncDisposableStack();
  const host = opening.use(openHostNetwork(options.environment));
  const records = await RecordBook.open(options.store, (key, reason) => {
    options.onWarning(`cni: the record of pod ${key} is damaged and passed over: ${reason}`);
  });
  const confFolder = opening.use(await openConfFolder(options));
  const loopback = loopbackPlugin();
  const lookup = pluginLookup([loopback, bridgePlugin(host), hostLocalPlugin()], {
    folders: options.binDirs,
    environment: options.environment,
  });
  const attachments = opening.use(
    new Attachments({
      records,
      lookup,
      loopback,
      ifname: options.ifname ?? "eth0",
      currentNetwork: () => confFolder.current(),
      onWarning: options.onWarning,
    }),
  );
  attachments.resumeTeardowns();
  const resources = opening.move();
  return {
    status: () => confFolder.status(),
    attach: (...call) => attachments.attach(...call),
    detach: (...call) => attachments.detach(...call),
    check: (...call) => attachments.check(...call),
    entries: () => records.all().map(entryOf),
    addresses: (podId) => {
      const record = records.get(podId);
      return record?.state.state === "attached" ? addressesOf(record.state.result) : undefined;
    },
    collectGarbage: (job, deadline) =>
      collectGarbage(knownNetworks(confFolder, records), records, lookup, job ?? silentJob, deadline),
    removeUnusedRules: async (deadline) => {
      const used = new Set(records.all().map(({ network }) => network.name));
      for (const { name } of knownNetworks(confFolder, records)) {
        if (!used.has(name)) await host.masquerade.remove(name, deadline);
      }
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

function openConfFolder(options: PodNetworksOptions): Promise<ConfFolder> {
  return ConfFolder.open(options.confDir, ({ file, bad }) => {
    for (const { reason } of bad) options.onWarning(`cni: passed over: ${reason}`);
    if (file !== undefined) options.onInfo(`cni: new pods use ${file}`);
  });
}

/** The current network and those that records still name, each once. */
function knownNetworks(confFolder: ConfFolder, records: RecordBook): NetworkConf[] {
  const byName = new Map(records.all().map(({ network }) => [network.name, network]));
  if (confFolder.status().ready) byName.set(confFolder.current().name, confFolder.current());
  return [...byName.values()];
}

function entryOf({ podId, netns, network, state }: AttachmentRecord): AttachmentEntry {
  return { podId, netns, network: network.name, state: state.state };
}
