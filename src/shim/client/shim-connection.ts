import type { SpecResources } from "../../core/oci-runtime-spec.ts";
import type {
  Created,
  CreateRequest,
  ExitRecord,
  KillRequest,
  PrepareRequest,
  ShimState,
} from "../protocol/messages.ts";
import { hasCode, type RuntimeError } from "../../core/errors.ts";
import { AttachSession, type AttachStreams } from "./attach.ts";
import { Channel, type ChannelListener } from "./channel.ts";
import { ExecSession, type ExecCommand } from "./exec.ts";
import type { Identity } from "./identity.ts";
import type { OutputHandlers } from "./output.ts";
import { createdOf, startedOf, stateOf } from "./replies.ts";
import { type Wait, bounded, remaining } from "./wait.ts";

/** What a caller says of the container to make; the launcher's client adds the rest. */
export type CreateOptions = Omit<CreateRequest, "type" | "seq" | "id">;

/** For which container a shim is started. */
export type PrepareOptions = Omit<PrepareRequest, "type" | "seq">;

/** A shim without a container. Every way to use it fails where it could not be reached. */
export interface NewShim {
  /** True where it could not be had, or its connection has ended. */
  isGone(): boolean;
  /**
   * Makes the container's cgroup, before it is known what the container is made of, so that it costs no time then.
   * What goes wrong is told when the container is asked for.
   */
  prepare(container: PrepareOptions): void;
  /**
   * Makes the container that was prepared, blocked before its execve. Given up or failed, the connection is cut and the
   * shim undoes what it made.
   */
  create(
    options: CreateOptions,
    wait?: Wait,
  ): Promise<{ readonly created: Created; readonly connection: ShimConnection }>;
  /** Ends the shim and what it has made; of no effect where a container was made or the connection has ended. */
  cancel(): Promise<void>;
}

/** A shim that was asked for before anyone wanted it, perhaps. */
export interface ShimAhead extends NewShim {
  /** Whoever takes it: where it proves `unavailable` before it is prepared, another is asked for, once, within `wait`. */
  takeFor(wait: Wait): void;
}

/** Told once how the container ended. */
export type ExitListener = (record: ExitRecord) => void;

/** The daemon's lasting connection to one shim. */
export class ShimConnection {
  private readonly socket: string;
  private readonly identity: Identity;
  private readonly channel: Channel;
  private readonly exits: ExitWatch;

  private constructor(socket: string, identity: Identity, channel: Channel, exits: ExitWatch) {
    this.socket = socket;
    this.identity = identity;
    this.channel = channel;
    this.exits = exits;
  }

  /** Reaches the shim that serves `socket`, of this daemon's build or an earlier one; `unavailable` when it is gone. */
  static async connect(socket: string, identity: Identity, wait: Wait = {}): Promise<ShimConnection> {
    const exits = new ExitWatch();
    const { channel } = await Channel.open(socket, identity, exits, wait);
    return new ShimConnection(socket, identity, channel, exits);
  }

  /** A new shim over a fresh connection to the launcher, which becomes the one that lasts. */
  static ofNew(
    reach: (listener: ChannelListener, wait: Wait) => Promise<Channel>,
    identity: Identity,
    wait: Wait,
  ): ShimAhead {
    const exits = new ExitWatch();
    let gone = false;
    const end = (): void => {
      gone = true;
    };
    let asked: Channel | undefined;
    let givenUp = false;
    const giveUp = (): void => {
      givenUp = true;
      asked?.close();
    };
    const ask = async (within: Wait): Promise<Channel> => {
      const channel = await reach(exits, within);
      asked = channel;
      void channel.closed.then(end);
      if (givenUp) channel.close();
      await closedOnFailure(channel, channel.request({ type: "new-shim" }, nothing, within));
      return channel;
    };
    const prepareOn = async (channel: Channel, container: PrepareOptions): Promise<Channel> => {
      try {
        await channel.request({ type: "prepare", ...container }, nothing, wait);
      } catch (thrown) {
        if (!hasCode(thrown, "unavailable")) return channel;
        channel.close();
        throw thrown;
      }
      return channel;
    };
    let ready = ask(wait);
    ready.catch(end);
    let id = "";
    let taker: Wait | undefined;
    let made = false;
    return {
      isGone: () => gone,
      takeFor: (bound) => {
        taker = bound;
      },
      prepare: (container) => {
        ({ id } = container);
        ready = ready
          .then((channel) => prepareOn(channel, container))
          .catch(async (thrown: unknown) => {
            if (taker === undefined || givenUp || !hasCode(thrown, "unavailable")) throw thrown;
            return await prepareOn(await ask(taker), container);
          });
        ready.catch(end);
      },
      create: async (options, bound = {}) => {
        const startedAt = performance.now();
        const waiting = ready;
        const channel = await bounded<Channel>(
          "a new shim",
          bound,
          ({ resolve, reject }) => void waiting.then(resolve, reject),
          giveUp,
        );
        const left = remaining(bound, startedAt);
        const creating = channel.request({ type: "create", id, ...options }, createdOf, left);
        const created = await closedOnFailure(channel, creating);
        made = true;
        return { created, connection: new ShimConnection(options.socket, identity, channel, exits) };
      },
      cancel: async () => {
        if (made || givenUp) return;
        const channel = await ready.catch(() => undefined);
        if (channel === undefined) return;
        await channel.request({ type: "delete" }, nothing, {}).catch(() => undefined);
        channel.close();
      },
    };
  }

  /** Resolves once the connection is gone, with the reason; the shim may live on. */
  get closed(): Promise<RuntimeError> {
    return this.channel.closed;
  }

  /** Lets the created process go on to execve; returns the time of it, nanoseconds since the epoch. */
  async start(wait: Wait = {}): Promise<bigint> {
    const { startedAt } = await this.channel.request({ type: "start" }, startedOf, wait);
    return BigInt(startedAt);
  }

  async state(wait: Wait = {}): Promise<ShimState> {
    return await this.channel.request({ type: "state" }, stateOf, wait);
  }

  /** Sends a signal to the first process, or to everything in the container's cgroup. */
  async kill(signal: number, scope: KillRequest["scope"], wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "kill", signal, scope }, nothing, wait);
  }

  /** Changes the limits named in `resources` and keeps all others. */
  async update(resources: SpecResources, wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "update", resources }, nothing, wait);
  }

  /** Goes on in a fresh file at the log's path; when this returns the file exists. */
  async reopenLog(wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "reopen-log" }, nothing, wait);
  }

  /** Sets the size of the container's tty, in characters. */
  async resize(rows: number, cols: number, wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "resize", rows, cols }, nothing, wait);
  }

  async pause(wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "pause" }, nothing, wait);
  }

  async resume(wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "resume" }, nothing, wait);
  }

  /** Kills what there is and ends the shim, whatever its state. */
  async delete(wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "delete" }, nothing, wait);
  }

  /** Adds a process to the container, over a connection of its own. */
  async exec(command: ExecCommand, handlers: OutputHandlers, wait: Wait = {}): Promise<ExecSession> {
    return await ExecSession.begin(this.socket, this.identity, command, handlers, wait);
  }

  /** Joins the container's stdio, over a connection of its own. */
  async attach(streams: AttachStreams, handlers: OutputHandlers, wait: Wait = {}): Promise<AttachSession> {
    return await AttachSession.begin(this.socket, this.identity, streams, handlers, wait);
  }

  /** Calls `listener` when the container has ended, at once if it has; returns how to stop listening. */
  onExit(listener: ExitListener): () => void {
    return this.exits.add(listener);
  }

  /** Ends the connection; the shim and its container live on. */
  close(): void {
    this.channel.close();
  }
}

/** Reads the answer of a request that has none. */
export function nothing(): undefined {
  return undefined;
}

async function closedOnFailure<T>(channel: Channel, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    channel.close();
    throw thrown;
  }
}

/** Keeps the exit record once it is known, for those who ask later. */
class ExitWatch implements ChannelListener {
  private record: ExitRecord | undefined;
  private readonly listeners = new Set<ExitListener>();

  add(listener: ExitListener): () => void {
    const { record } = this;
    this.listeners.add(listener);
    if (record !== undefined) {
      queueMicrotask(() => {
        if (this.listeners.delete(listener)) listener(record);
      });
    }
    return () => this.listeners.delete(listener);
  }

  onEvent(event: Parameters<ChannelListener["onEvent"]>[0]): void {
    if (event.event !== "exit" || this.record !== undefined) return;
    this.record = event.record;
    const listeners = [...this.listeners];
    this.listeners.clear();
    for (const listener of listeners) listener(event.record);
  }

  /** A control connection carries no output. */
  onOutput(): void {
    return undefined;
  }
}
