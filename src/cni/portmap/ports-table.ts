import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError } from "../../core/errors.ts";
import { SysError } from "../../sys/index.ts";
import type { HostNetwork } from "../host-network.ts";
import type { NetlinkMessage } from "../netlink/message.ts";
import {
  addElements,
  decodeElements,
  decodeGeneration,
  deleteElements,
  deleteTable,
  getGeneration,
  getTable,
  listElements,
  type SetElement,
  type SetName,
} from "../netlink/nftables.ts";
import { requireSuccess, type BatchFailure, type NetlinkSocket } from "../netlink/socket.ts";
import { pruneLocalnet, setRouteLocalnet } from "./localnet.ts";
import { linkOfKey, localnetSet, podSets, portsTable, type PlacedElement } from "./table.ts";

const { ENOENT, EEXIST, EINTR } = constants.errno;
/** The ruleset has changed since the generation that a batch names; Node's list of numbers lacks it. */
const ERESTART = 85;
/** Tries to change what others change at the same time, and the wait before the next, in milliseconds. */
const maxTries = 50;
const retryDelayMs = 5;

/** How adding elements went. */
export type AddOutcome = "added" | "no-table" | "taken";

/** The elements in a network's table, read and changed by netlink alone. Other processes may change it meanwhile. */
export class PortsTable {
  readonly #netfilter: NetlinkSocket;
  readonly #network: string;
  readonly name: string;

  constructor(host: Pick<HostNetwork, "netfilter">, network: string) {
    this.#netfilter = host.netfilter;
    this.#network = network;
    this.name = portsTable(network);
  }

  /** Adds all of them, or none. */
  async add(elements: readonly PlacedElement[]): Promise<AddOutcome> {
    const failure = await this.#netfilter.batch(this.#bySet(elements, addElements));
    if (failure === undefined) return "added";
    if (failure.errno === ENOENT) return "no-table";
    if (failure.errno === EEXIST) return "taken";
    throw this.#error(failure);
  }

  /** The elements that stand for pods' ports and addresses; none where there is no table. */
  async list(): Promise<PlacedElement[]> {
    const found: PlacedElement[] = [];
    for (const set of podSets) {
      for (const element of await this.#elementsOf(set)) found.push({ set, element });
    }
    return found;
  }

  /** Removes the elements whose comment fits, and gives them. */
  async remove(fits: (comment: string) => boolean): Promise<PlacedElement[]> {
    let fitting: PlacedElement[] = [];
    if (!(await this.exists())) return fitting;
    await this.#change(async () => {
      fitting = (await this.list()).filter(({ element }) => fits(element.comment));
      return this.#bySet(fitting, deleteElements);
    });
    return fitting;
  }

  /** Deletes the table where no pod is in it, and undoes what was allowed for its sake. */
  async removeIfUnused(): Promise<void> {
    let forbidden: string[] = [];
    if (!(await this.exists())) return;
    await this.#change(async () => {
      // The try before came to nothing: somebody has changed the rules.
      setRouteLocalnet(forbidden, "1");
      const links = (await this.#elementsOf(localnetSet)).map(({ key }) => linkOfKey(key));
      if ((await this.list()).length > 0) {
        await pruneLocalnet(this.#netfilter, this.name, links);
        return [];
      }
      // Before the rules go that keep the links' neighbours out.
      setRouteLocalnet(links, "0");
      forbidden = links;
      return [deleteTable("inet", this.name)];
    });
  }

  /** Does what `plan` makes of the present state, anew where that has changed meanwhile. No messages are nothing to do. */
  async #change(plan: () => Promise<NetlinkMessage[]>): Promise<void> {
    for (let tries = 0; tries < maxTries; tries += 1) {
      const [reply] = await this.#netfilter.execute("nftables", [getGeneration()]);
      const generation = decodeGeneration(reply?.messages[0]?.payload ?? Buffer.alloc(4));
      const messages = await plan();
      if (messages.length === 0) return;
      const failure = await this.#netfilter.batch(messages, generation);
      if (failure === undefined || failure.errno === ENOENT) return;
      if (failure.errno !== ERESTART && failure.errno !== EINTR) throw this.#error(failure);
      await sleep(retryDelayMs);
    }
    throw new RuntimeError("unavailable", `network ${this.#network}: portmap: the rules change all the time`);
  }

  /** True where the network has a table. */
  async exists(): Promise<boolean> {
    const [reply] = await this.#netfilter.request([getTable("inet", this.name)]);
    return reply?.acknowledgement.errno === 0;
  }

  async #elementsOf(set: string): Promise<SetElement[]> {
    const [reply] = await this.#netfilter.request([listElements({ table: this.name, set })]);
    if (reply === undefined || reply.acknowledgement.errno === ENOENT) return [];
    requireSuccess(`${this.name} ${set}`, reply);
    return reply.messages.flatMap(({ payload }) => decodeElements(payload));
  }

  #bySet(
    elements: readonly PlacedElement[],
    encode: (name: SetName, elements: readonly SetElement[]) => NetlinkMessage,
  ): NetlinkMessage[] {
    const sets = [...Map.groupBy(elements, ({ set }) => set)];
    return sets.map(([set, placed]) =>
      encode(
        { table: this.name, set },
        placed.map(({ element }) => element),
      ),
    );
  }

  #error({ errno, text }: BatchFailure): Error {
    return new SysError("netlink", errno, `network ${this.#network}: portmap: ${this.name}`, text);
  }
}
