import { constants } from "node:os";
import { deleteLinkByName, deleteLinkGroup, setLinkGroup } from "./netlink/link.ts";
import { requireSuccess, type NetlinkReply, type NetlinkSocket } from "./netlink/socket.ts";

/** Whether there was something to remove. */
export type Removal = "removed" | "absent";

/** The group that links go into to be deleted together: "berth" in part, for nobody else to use. */
const group = 0x6265_7274;
/** Links of one deletion. */
const maxTogether = 64;

interface Waiting {
  readonly name: string;
  readonly done: (removal: Removal) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Deletes links of the host. The kernel waits 20 to 50 ms each time until nobody looks at one any more, most of it
 * without its lock; those that come meanwhile are deleted together, in one such wait.
 */
export class LinkRemovals {
  readonly #socket: NetlinkSocket;
  #waiting: Waiting[] = [];
  #work: Promise<void> | undefined;

  /** The socket is this one's alone: whoever else used it would wait too. */
  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /** Deletes the link of this name, a veth's other end with it. */
  remove(name: string): Promise<Removal> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ name, done: resolve, failed: reject });
      this.#work ??= this.#removeAll();
    });
  }

  /** Waits for what is under way and closes the socket. */
  async close(): Promise<void> {
    await this.#work;
    await this.#socket.close();
  }

  async #removeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, maxTogether);
      try {
        await this.#removeBatch(batch);
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    // At once: who comes a moment later starts the work anew.
    this.#work = undefined;
  }

  async #removeBatch(batch: readonly Waiting[]): Promise<void> {
    const present = batch.length === 1 ? batch : await this.#gather(batch);
    const [only] = present;
    if (only === undefined) return;
    const message = present.length === 1 ? deleteLinkByName(only.name) : deleteLinkGroup(group);
    const [reply] = await this.#socket.request([message]);
    for (const { name, done, failed } of present) {
      try {
        // A group without links is no device either: another process has deleted them.
        done(removalOf(name, reply));
      } catch (error) {
        failed(error);
      }
    }
  }

  /** Puts the links into the group; those that are there. */
  async #gather(batch: readonly Waiting[]): Promise<Waiting[]> {
    const replies = await this.#socket.request(batch.map(({ name }) => setLinkGroup(name, group)));
    return batch.filter(({ name, done, failed }, index) => {
      try {
        if (removalOf(name, replies[index]) === "removed") return true;
        done("absent");
      } catch (error) {
        failed(error);
      }
      return false;
    });
  }
}

function removalOf(name: string, reply: NetlinkReply | undefined): Removal {
  if (reply?.acknowledgement.errno === constants.errno.ENODEV) return "absent";
  if (reply !== undefined) requireSuccess(name, reply);
  return "removed";
}
