import type { ShimEvent } from "../../protocol/messages.ts";
import { execSocketSuffix } from "../../protocol/launch.ts";
import { EPOLL } from "../ffi/constants.ts";
import { asFailure } from "../ffi/error.ts";
import { close, unlink } from "../ffi/files.ts";
import { fork } from "../ffi/processes.ts";
import { accept, listenUnix } from "../ffi/sockets.ts";
import { serveExec } from "../exec/supervisor.ts";
import type { ExecSlot } from "../cgroup/index.ts";
import type { Context } from "../launcher/context.ts";
import { Connection } from "../wire/connection.ts";
import { frameReader } from "../wire/greeting.ts";
import type { Loop } from "../wire/loop.ts";
import type { Container } from "./container.ts";
import { serveRequest } from "./control.ts";

/** Control and attach connections at the same time; one more is closed at once. */
const maxConnections = 64;
const backlog = 32;

/** How long the shim waits for its clients to take what was sent, before it ends without them. */
const farewellMs = 3_000;

/** Those who talk to the shim: control and attach over one socket, added processes over the other. */
export class Clients {
  private readonly container: Container;
  private readonly loop: Loop;
  private readonly context: Context;
  private readonly socket: string;
  private connections: Connection[] = [];
  private listeners: number[] = [];
  /** Made once. */
  private readonly takeExecSlot: (this: void) => ExecSlot | "none" = () => this.container.takeExecSlot();
  private leaving: ((this: void) => void) | undefined;

  constructor(container: Container, loop: Loop, context: Context, socket: string) {
    this.container = container;
    this.loop = loop;
    this.context = context;
    this.socket = socket;
    container.onEvent((event) => {
      this.tell(event);
    });
  }

  /** Serves a connection that has said hello already: the one that the container was asked for on. */
  adopt(connection: Connection): void {
    connection.handOver({
      onFrame: frameReader(
        this.context.identity,
        () => connection,
        this.peerOf(() => connection),
        "greeted",
      ),
      onClose: () => {
        this.forget(connection);
      },
    });
    this.connections.push(connection);
  }

  /** Binds both sockets. */
  listen(): void {
    this.listeners = [
      this.serve(this.socket, (client) => {
        this.greet(client);
      }),
      this.serve(this.socket + execSocketSuffix, (client) => {
        this.forkExec(client);
      }),
    ];
  }

  /** Stops listening, lets everyone take what was sent, and calls `done`. */
  farewell(done: (this: void) => void): void {
    for (const listener of this.listeners) {
      this.loop.remove(listener);
      close(listener);
    }
    if (this.listeners.length > 0) {
      unlink(this.socket);
      unlink(this.socket + execSocketSuffix);
    }
    this.leaving = done;
    this.loop.after(farewellMs, done);
    for (const connection of [...this.connections]) connection.end();
    this.leaveIfAlone();
  }

  private tell(event: ShimEvent): void {
    for (const connection of [...this.connections]) connection.sendMessage(event);
  }

  private serve(path: string, onClient: (client: number) => void): number {
    const listener = listenUnix(path, backlog);
    this.loop.add(listener, EPOLL.IN, () => {
      const client = accept(listener);
      if (client !== undefined) onClient(client);
    });
    return listener;
  }

  private greet(client: number): void {
    if (this.connections.length >= maxConnections) {
      close(client);
      return;
    }
    const connection: Connection = new Connection(this.loop, client, {
      onFrame: frameReader(
        this.context.identity,
        () => connection,
        this.peerOf(() => connection),
      ),
      onClose: () => {
        this.forget(connection);
      },
    });
    this.connections.push(connection);
  }

  private peerOf(connection: () => Connection): Parameters<typeof frameReader>[2] {
    return {
      onRequest: (request) => {
        serveRequest(this.container, connection(), request);
      },
      onBytes: (kind, payload) => {
        this.container.feed(connection(), kind, payload);
      },
    };
  }

  private forget(connection: Connection): void {
    this.connections = this.connections.filter((one) => one !== connection);
    this.container.forget(connection);
    this.leaveIfAlone();
  }

  private leaveIfAlone(): void {
    if (this.leaving !== undefined && this.connections.length === 0) this.leaving();
  }

  /**
   * Each added process has a supervisor of its own: a child whose memory goes with it. Here nothing may be made that is
   * garbage afterwards: probes come every few seconds for years.
   */
  private forkExec(client: number): void {
    const [ok, slot] = pcall(this.takeExecSlot);
    const [forked, pid] = pcall(fork);
    if (forked && pid === 0) {
      const target = ok ? this.container.execTarget(slot) : undefined;
      serveExec(client, target, ok ? undefined : asFailure(slot), this.context.identity);
    }
    close(client);
    if (!ok) return;
    if (forked) this.container.superviseExec(pid, slot);
    else if (slot !== "none") slot.release("empty");
  }
}
