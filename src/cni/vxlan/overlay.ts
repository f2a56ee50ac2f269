import { dirname } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { findLink } from "../bridge/device.ts";
import { FolderWatch } from "../folder-watch.ts";
import type { HostNetwork } from "../host-network.ts";
import { formatIp, sameIp, type IpAddress } from "../ip.ts";
import { runNft } from "../nft.ts";
import type { VxlanConf } from "./conf.ts";
import { ensureDevice, hostAddresses, removeDevice, tunnelMtu } from "./device.ts";
import { guardScript, unguardScript } from "./guard.ts";
import { loadPeersFile, type Peer } from "./peers.ts";
import { planOverlay, tunnelMac, type Sources } from "./plan.ts";
import { readTables, writeTables } from "./tables.ts";

/** What an overlay needs from around it. */
export interface OverlayOptions {
  readonly host: HostNetwork;
  readonly onWarning: (message: string) => void;
}

/** What is asked of an overlay. */
export interface OverlayRequest {
  readonly conf: VxlanConf;
  /** Addresses that the host's own packets go out with; undefined leaves them as they are. */
  readonly sources?: Sources;
  /** The bridge that the device becomes a port of; undefined leaves it where it is. */
  readonly bridge?: string;
}

/** How long peers that changed may take to be written, in milliseconds. */
const refreshTimeoutMs = 30_000;

/** One overlay's device and all that hangs on it, made the same as its configuration and its peers say. */
export class Overlay implements AsyncDisposable {
  readonly #options: OverlayOptions;
  #request: OverlayRequest;
  #watch: FolderWatch | undefined;
  #watched = "";
  /** What was written last; the same is not written again while the device is there. */
  #written: { readonly key: string; readonly index: number; readonly mtu: number } | undefined;
  #warned = "";
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: OverlayOptions, conf: VxlanConf) {
    this.#options = options;
    this.#request = { conf };
  }

  /** Brings everything in line; gives the device's mtu. */
  ensure(request: OverlayRequest, signal: AbortSignal): Promise<number> {
    return this.#inTurn(() => {
      this.#request = { ...this.#request, ...request };
      this.#watchPeers();
      return this.#ensure(signal);
    });
  }

  /** Takes everything away. */
  remove(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const { conf } = this.#request;
      const { host } = this.#options;
      this.#unwatch();
      this.#written = undefined;
      await removeDevice(host, conf.device);
      await runNft(subjectOf(conf), unguardScript(conf), host.environment, signal);
      await host.masquerade.spare(conf.network, [], signal);
    });
  }

  /** Stops to watch; the device stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    await this.#last;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #ensure(signal: AbortSignal): Promise<number> {
    const { conf, bridge } = this.#request;
    const { rtnetlink } = this.#options.host;
    const peers = [...conf.peers, ...(conf.peersFile === "" ? [] : await loadPeersFile(conf.peersFile))];
    const addresses = await hostAddresses(rtnetlink);
    const isLocal = (one: IpAddress): boolean => addresses.some(({ prefix }) => sameIp(prefix.address, one));
    const local = conf.address ?? peers.find(({ address }) => isLocal(address))?.address;
    if (local === undefined) {
      const problem = "no address is given, and none of the peers' is this host's";
      throw new RuntimeError("failed-precondition", `${subjectOf(conf)}: ${problem}`);
    }
    requireFamily(conf, local, peers);
    const mtu = conf.mtu ?? (await tunnelMtu(rtnetlink, local, addresses));
    const sources = this.#request.sources?.filter(isLocal);
    const key = JSON.stringify(
      [conf, bridge, mtu, formatIp(local), peers, sources],
      (_key, value: unknown) => (typeof value === "bigint" ? value.toString() : value),
    );
    const written = this.#written;
    if (written?.key === key && (await findLink(rtnetlink, conf.device))?.index === written.index) return mtu;
    const index = await this.#writeDevice(conf, local, mtu, bridge);
    await this.#writeRest(conf, local, peers, index, sources, signal);
    this.#written = { key, index, mtu };
    return mtu;
  }

  async #writeDevice(
    conf: VxlanConf,
    local: IpAddress,
    mtu: number,
    bridge: string | undefined,
  ): Promise<number> {
    const { rtnetlink } = this.#options.host;
    const port = bridge === undefined ? undefined : await findLink(rtnetlink, bridge);
    if (bridge !== undefined && port?.kind !== "bridge") {
      throw new RuntimeError("failed-precondition", `${subjectOf(conf)}: ${bridge} is no bridge`);
    }
    const before = await findLink(rtnetlink, conf.device);
    return ensureDevice(rtnetlink, {
      name: conf.device,
      mac: tunnelMac(conf.vni, local),
      mtu,
      master: conf.mode === "routed" ? 0 : (port?.index ?? before?.master ?? 0),
      vni: conf.vni,
      port: conf.port,
      local,
      learning: conf.mode === "bridged" ? "on" : "off",
    });
  }

  async #writeRest(
    conf: VxlanConf,
    local: IpAddress,
    peers: readonly Peer[],
    index: number,
    sources: Sources | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { host } = this.#options;
    const others = peers.filter(({ address }) => !sameIp(address, local));
    const addresses = others.map(({ address }) => address);
    // Before the device can reach anybody.
    await runNft(subjectOf(conf), guardScript(conf, local, addresses), host.environment, signal);
    if (conf.mode === "routed") {
      const subnets = others.flatMap((peer) => peer.subnets);
      for (const family of new Set(subnets.map(({ address }) => address.family)))
        host.enableForwarding(family);
      await host.masquerade.spare(conf.network, subnets, signal);
    }
    const present = await readTables(host.rtnetlink, index);
    const kept = present.routes.flatMap(({ source }) => (source === undefined ? [] : [source]));
    const plan = planOverlay(conf, local, peers, sources ?? kept);
    await writeTables(host.rtnetlink, { name: conf.device, index }, present, plan);
  }

  /** Follows the peers file where there is one: what it says counts without anybody asking. */
  #watchPeers(): void {
    const { peersFile } = this.#request.conf;
    if (this.#watched === peersFile) return;
    this.#unwatch();
    this.#watched = peersFile;
    if (peersFile === "") return;
    this.#watch = new FolderWatch(dirname(peersFile), () => {
      void this.#inTurn(() => this.#refresh());
    });
  }

  #unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#watched = "";
  }

  /** A file that cannot be read leaves the peers as they were, and is told once. */
  async #refresh(): Promise<void> {
    if (this.#watch === undefined) return;
    try {
      await this.#ensure(AbortSignal.timeout(refreshTimeoutMs));
      this.#warned = "";
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#warned) this.#options.onWarning(`cni: vxlan: peers stay as they were: ${reason}`);
      this.#warned = reason;
    }
  }
}

function requireFamily(conf: VxlanConf, local: IpAddress, peers: readonly Peer[]): void {
  const other = peers.find(({ address }) => address.family !== local.family);
  if (other === undefined) return;
  const problem = `peer ${formatIp(other.address)} is of another family than ${formatIp(local)}`;
  throw new RuntimeError("invalid-argument", `${subjectOf(conf)}: ${problem}`);
}

function subjectOf({ network }: VxlanConf): string {
  return `network ${network}: vxlan`;
}
