import { RuntimeError } from "../../core/errors.ts";
import type { HostNetwork } from "../host-network.ts";
import type { IpPrefix } from "../ip.ts";
import { KeyedQueue } from "../keyed-queue.ts";
import type { NetlinkSocket } from "../netlink/socket.ts";
import { runNft } from "../nft.ts";
import { ownerComment } from "../owner.ts";
import { formatHostPort, type PortmapConf } from "./conf.ts";
import { allowLocalnet } from "./localnet.ts";
import type { PortMapper } from "./mapper.ts";
import { PortsTable } from "./ports-table.ts";
import { forgetUdpFlows } from "./stale-flows.ts";
import { tableMessages } from "./table-messages.ts";
import {
  chainScript,
  elementsOf,
  familyOfSet,
  portOfKey,
  setNames,
  subnetScript,
  type PlacedElement,
} from "./table.ts";

/** One turn for all tables: the kernel counts one generation for every rule of the host. */
const turn = "the host's nftables rules";
/** Tries to add to a table that others remove at the same time. */
const maxAddTries = 5;
const udpNumber = 17;

/**
 * The backend nftables: one table a network, whose rules look ports up in maps. The first pod with ports has the table
 * made, by netlink where its configuration allows; each one is then a handful of map elements in one netlink batch. The last one takes the table along.
 * This process changes the tables in turn, so that what is tried again is other processes' doing alone.
 */
export function nftablesMapper(host: HostNetwork): PortMapper {
  const rules = new WrittenRules(host);
  const queue = new KeyedQueue();
  return {
    add: async (call, conf, pods) => {
      const owner = ownerComment(call.containerId, call.ifname);
      const elements = elementsOf(conf, pods, owner);
      if (elements.length === 0) return;
      const table = new PortsTable(host, conf.network);
      await queue.run(turn, call.signal, async () => {
        await addElements(rules, table, conf, pods, elements, call.signal);
        const pod4 = pods.find(({ address }) => address.family === 4);
        if (conf.snat && pod4 !== undefined) await allowLocalnet(host, table.name, pod4.address);
      });
      await forgetFlowsOf(host.netfilter, elements);
    },
    remove: async (call, network) => {
      const owner = ownerComment(call.containerId, call.ifname);
      const table = new PortsTable(host, network);
      const removed = await queue.run(turn, call.signal, () => table.remove((comment) => comment === owner));
      await forgetFlowsOf(host.netfilter, removed);
      // The kernel takes its time to be sure that no packet is on its way through the table.
      call.afterwards(({ signal }) => queue.run(turn, signal, () => table.removeIfUnused()));
    },
    check: async (call, conf, pods) => {
      const owner = ownerComment(call.containerId, call.ifname);
      const present = new Set((await new PortsTable(host, conf.network).list()).map(identityOf));
      for (const wanted of elementsOf(conf, pods, owner)) {
        if (present.has(identityOf(wanted))) continue;
        throw new RuntimeError(
          "failed-precondition",
          `network ${conf.network}: the nftables set ${wanted.set} has lost what is of container ${call.containerId}`,
        );
      }
    },
    gc: async (call, network, valid) => {
      const owners = new Set(valid.map(({ containerID, ifname }) => ownerComment(containerID, ifname)));
      const table = new PortsTable(host, network);
      const removed = await queue.run(turn, call.signal, () =>
        table.remove((comment) => !owners.has(comment)),
      );
      for (const owner of new Set(removed.map(({ element }) => element.comment))) {
        call.note(`portmap: removed the host ports of ${owner}`);
      }
      await forgetFlowsOf(host.netfilter, removed);
      await queue.run(turn, call.signal, () => table.removeIfUnused());
    },
  };
}

/** The rules of each network as this process has written them: to write them again takes a process. */
class WrittenRules {
  readonly #host: HostNetwork;
  readonly #written = new Map<string, { readonly chains: string; readonly subnets: ReadonlySet<string> }>();

  constructor(host: HostNetwork) {
    this.#host = host;
  }

  /** Writes what is not yet known to be there. */
  async ensure(
    table: PortsTable,
    conf: PortmapConf,
    pods: readonly IpPrefix[],
    signal: AbortSignal,
  ): Promise<void> {
    const chains = chainScript(conf);
    const subnets = subnetScript(conf.network, pods);
    const written = this.#written.get(conf.network);
    // Asked first: a batch that fails keeps the kernel for as long as its readers need, some 15 ms.
    const isThere = await table.exists();
    const known = isThere && written?.chains === chains ? written.subnets : new Set<string>();
    if (known.has(subnets)) return;
    if (isThere || !(await this.#create(conf, pods))) {
      const subject = `network ${conf.network}: portmap`;
      await runNft(subject, `${chains}${subnets}`, this.#host.environment, signal);
    }
    this.#written.set(conf.network, { chains, subnets: new Set([...known, subnets]) });
  }

  /** Makes the table by netlink alone; one that came in between, or a kernel that refuses, is nft's matter. */
  async #create(conf: PortmapConf, pods: readonly IpPrefix[]): Promise<boolean> {
    const messages = tableMessages(conf, pods);
    return messages !== undefined && (await this.#host.netfilter.batch(messages)) === undefined;
  }

  /** To be called where they have turned out to be gone. */
  forget(network: string): void {
    this.#written.delete(network);
  }
}

async function addElements(
  rules: WrittenRules,
  table: PortsTable,
  conf: PortmapConf,
  pods: readonly IpPrefix[],
  elements: readonly PlacedElement[],
  signal: AbortSignal,
): Promise<void> {
  for (let tries = 0; tries < maxAddTries; tries += 1) {
    await rules.ensure(table, conf, pods, signal);
    const outcome = await table.add(elements);
    if (outcome === "added") return;
    if (outcome === "no-table") rules.forget(conf.network);
    else throw await taken(table, conf, elements);
  }
  throw new RuntimeError(
    "unavailable",
    `network ${conf.network}: portmap: ${table.name} is removed all the time`,
  );
}

/** Says which port it is, and whose. */
async function taken(
  table: PortsTable,
  conf: PortmapConf,
  wanted: readonly PlacedElement[],
): Promise<RuntimeError> {
  const present = await table.list();
  for (const { set, element } of wanted) {
    const other = present.find((one) => one.set === set && one.element.key.equals(element.key));
    if (other === undefined) continue;
    const { port } = portOfKey(element.key);
    const asked = conf.ports.find(({ hostPort }) => hostPort === port);
    const name = asked === undefined ? `address in ${set}` : `host port ${formatHostPort(asked)}`;
    return new RuntimeError(
      "already-exists",
      `network ${conf.network}: ${name} is taken by container ${other.element.comment}`,
    );
  }
  return new RuntimeError("already-exists", `network ${conf.network}: a host port was taken for a moment`);
}

async function forgetFlowsOf(netfilter: NetlinkSocket, elements: readonly PlacedElement[]): Promise<void> {
  for (const family of [4, 6] as const) {
    const ports = elements.flatMap(({ set, element }) => {
      if (familyOfSet(set) !== family || set === setNames.pods[family]) return [];
      const { protocol, port } = portOfKey(element.key);
      return protocol === udpNumber ? [port] : [];
    });
    await forgetUdpFlows(netfilter, family, new Set(ports));
  }
}

function identityOf({ set, element }: PlacedElement): string {
  const data = element.data?.toString("hex") ?? "";
  return [set, element.key.toString("hex"), data, element.comment].join(" ");
}
