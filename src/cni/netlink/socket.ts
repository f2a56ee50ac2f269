import { closeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { RuntimeError } from "../../core/errors.ts";
import {
  AF_NETLINK,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_GET_STRICT_CHK,
  recv,
  sendtoInThread,
  setsockopt,
  SOCK_CLOEXEC,
  SOCK_RAW,
  socket,
  SOL_NETLINK,
  SysError,
} from "../../sys/index.ts";
import {
  decodeAcknowledgement,
  decodeMessages,
  encodeMessage,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Acknowledgement,
  type NetlinkMessage,
  type ReceivedMessage,
} from "./message.ts";
import { batchBegin, batchEnd } from "./nftables.ts";

/** What came back for one request. */
export interface NetlinkReply {
  readonly acknowledgement: Acknowledgement;
  readonly messages: readonly ReceivedMessage[];
}

/** Bytes of one datagram from the kernel: dumps come in pieces of at most 32 KiB. */
const maxDatagramBytes = 64 * 1024;
/** Looks for an answer that should have been there when the request returned, and the time between two in ms. */
const maxReceiveTries = 500;
const receiveRetryDelayMs = 2;

/**
 * A netlink socket that stays in the namespace it was opened in. Requests of several callers go one after the other;
 * the messages of one request are one datagram, which the kernel works off in order without stopping at a failure.
 */
export class NetlinkSocket {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(maxDatagramBytes);
  #sequence = 0;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** Opens a socket in the calling thread's namespace; `protocol` is NETLINK_ROUTE or NETLINK_NETFILTER. */
  constructor(protocol: number) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    // Older kernels lack these: the answers are then less telling, and a dump is filtered here.
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
      try {
        setsockopt(this.#fd, SOL_NETLINK, option, 1);
      } catch (error) {
        if (!(error instanceof SysError && error.code === "ENOPROTOOPT")) throw error;
      }
    }
  }

  /** Sends the messages and gives one reply for each, in order, failed ones included. */
  request(messages: readonly NetlinkMessage[]): Promise<NetlinkReply[]> {
    const result = this.#last.then(() => this.#exchange(messages));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** As {@link request}, but the first failed message throws SysError with the kernel's own text. */
  async execute(subject: string, messages: readonly NetlinkMessage[]): Promise<NetlinkReply[]> {
    const replies = await this.request(messages);
    for (const reply of replies) requireSuccess(subject, reply);
    return replies;
  }

  /**
   * Sends nftables messages as one batch: all of them happen, or none. Gives the first failure, or `undefined`; with a
   * generation a ruleset that has changed since is the failure `ERESTART` (85).
   */
  batch(messages: readonly NetlinkMessage[], generation?: number): Promise<BatchFailure | undefined> {
    const whole = [batchBegin(generation), ...messages, batchEnd()];
    const result = this.#last.then(async () => firstFailure(await this.#exchange(whole, "batch")));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Closes the socket once the requests under way are through. */
  async close(): Promise<void> {
    await this.#last;
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }

  async #exchange(
    messages: readonly NetlinkMessage[],
    kind: "single" | "batch" = "single",
  ): Promise<NetlinkReply[]> {
    if (this.#closed) throw new RuntimeError("internal", "netlink socket is closed");
    const first = this.#sequence + 1;
    this.#sequence += messages.length;
    const datagram = Buffer.concat(messages.map((message, index) => encodeMessage(message, first + index)));
    await sendtoInThread(this.#fd, datagram, 0);
    const collected = new ReplyCollector(first, messages.length, kind);
    for (let tries = 0; !collected.isComplete();) {
      const received = recv(this.#fd, this.#buffer);
      if (received !== undefined) {
        // The buffer is used again, and what decoders keep points into it.
        collected.add(decodeMessages(Buffer.from(received)));
      } else if ((tries += 1) > maxReceiveTries) {
        throw new RuntimeError("internal", "the kernel does not answer a netlink request");
      } else {
        await sleep(receiveRetryDelayMs);
      }
    }
    return collected.replies();
  }
}

/** What kept a batch from happening. */
export interface BatchFailure extends Acknowledgement {
  /** Which of the messages failed; -1 is the batch as a whole. */
  readonly position: number;
}

function firstFailure(replies: readonly NetlinkReply[]): BatchFailure | undefined {
  const index = replies.findIndex(({ acknowledgement }) => acknowledgement.errno !== 0);
  const failed = replies[index];
  return failed === undefined ? undefined : { ...failed.acknowledgement, position: index - 1 };
}

/** Throws SysError where the reply is a failure. */
export function requireSuccess(subject: string, reply: NetlinkReply): void {
  const { errno, text } = reply.acknowledgement;
  if (errno !== 0) throw new SysError("netlink", errno, subject, text);
}

/** Sorts what arrives by sequence number, until each request is acknowledged or its dump done. */
class ReplyCollector {
  readonly #first: number;
  readonly #messages: ReceivedMessage[][];
  readonly #acknowledgements: (Acknowledgement | undefined)[];
  readonly #kind: "single" | "batch";

  constructor(first: number, count: number, kind: "single" | "batch") {
    this.#first = first;
    this.#kind = kind;
    this.#messages = Array.from({ length: count }, () => []);
    this.#acknowledgements = Array.from({ length: count }, () => undefined);
  }

  add(messages: readonly ReceivedMessage[]): void {
    for (const message of messages) {
      const index = message.sequence - this.#first;
      const slot = this.#messages[index];
      // An answer to an earlier request that was given up on.
      if (slot === undefined) continue;
      if (message.type === NLMSG_ERROR) this.#acknowledgements[index] = decodeAcknowledgement(message);
      else if (message.type !== NLMSG_DONE) slot.push(message);
      else if ((message.flags & NLM_F_MULTI) !== 0) this.#acknowledgements[index] = doneResult(message);
    }
  }

  /** A batch's begin and end are only answered where they fail; a failed begin is the only answer there is. */
  isComplete(): boolean {
    if (this.#kind === "batch") {
      const [begin, ...others] = this.#acknowledgements;
      return begin !== undefined || others.slice(0, -1).every((answer) => answer !== undefined);
    }
    return this.#acknowledgements.every((acknowledgement) => acknowledgement !== undefined);
  }

  replies(): NetlinkReply[] {
    return this.#messages.map((messages, index) => ({
      messages,
      acknowledgement: this.#acknowledgements[index] ?? { errno: 0, text: "" },
    }));
  }
}

/** A dump that broke off carries its error in NLMSG_DONE. */
function doneResult(message: ReceivedMessage): Acknowledgement {
  const code = message.payload.length >= 4 ? message.payload.readInt32LE(0) : 0;
  return { errno: code < 0 ? -code : 0, text: "" };
}
