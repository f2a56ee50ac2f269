import { frameStderr, frameStdin, frameStdinEof, frameStdout } from "../../protocol/frame.ts";
import { duplicate } from "../ffi/files.ts";
import { resizeTerminal } from "../init/terminal.ts";
import { failure } from "../ffi/error.ts";
import { InputWriter } from "../stdio/input.ts";
import type { ContainerLog, LogStream } from "../log/index.ts";
import type { OutputTaker } from "../stdio/output.ts";
import { OutputReader, takeText } from "../stdio/output.ts";
import type { Connection } from "../wire/connection.ts";
import type { Loop } from "../wire/loop.ts";

/** Clients attached to one container at the same time. */
const maxAttached = 16;

/** Bytes that may wait for one attached client; a slower one is cut off and never holds the container back. */
const maxAttachedBacklogBytes = 1024 * 1024;

/** What of the container's stdio a client has. */
export interface AttachedStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** The container's ends: a terminal's master for all, or one pipe each. */
export type StdioEnds =
  | { readonly kind: "terminal"; readonly master: number }
  | { readonly kind: "pipes"; readonly stdout: number; readonly stderr: number; readonly stdin?: number };

/** The standard streams of the container: read always, into the log and to whoever is attached. */
export class ContainerStdio {
  private readonly readers: OutputReader[] = [];
  private readonly input: InputWriter;
  private readonly master: number;
  private readonly log: ContainerLog | undefined;
  private readonly stdinMode: "closed" | "open" | "open-once";
  private readonly onEnd: (this: void) => void;
  private attached: { readonly connection: Connection; readonly streams: AttachedStreams }[] = [];

  constructor(
    loop: Loop,
    ends: StdioEnds,
    stdinMode: "closed" | "open" | "open-once",
    log: ContainerLog | undefined,
    onEnd: (this: void) => void,
  ) {
    this.log = log;
    this.stdinMode = stdinMode;
    this.onEnd = onEnd;
    log?.onWritable(() => {
      this.setPaused(false);
    });
    if (ends.kind === "terminal") {
      this.master = ends.master;
      this.input = new InputWriter(loop, stdinMode === "closed" ? -1 : duplicate(ends.master));
      this.read(loop, ends.master, "stdout");
    } else {
      this.master = -1;
      this.input = new InputWriter(loop, ends.stdin ?? -1);
      this.read(loop, ends.stdout, "stdout");
      this.read(loop, ends.stderr, "stderr");
    }
  }

  /** True once every writer is gone. */
  get ended(): boolean {
    return this.readers.every((reader) => !reader.isOpen);
  }

  /** Adds a client; it is told of output from now on. */
  attach(connection: Connection, streams: AttachedStreams): void {
    if (this.attached.length >= maxAttached) {
      throw failure("resource-exhausted", `${maxAttached} clients are attached already`);
    }
    this.attached.push({ connection, streams });
  }

  /** Forgets a client; with `open-once` the first that had standard input takes it along. */
  detach(connection: Connection): void {
    const leaving = this.attached.find((one) => one.connection === connection);
    if (leaving === undefined) return;
    this.attached = this.attached.filter((one) => one !== leaving);
    if (leaving.streams.stdin && this.stdinMode === "open-once") this.input.end();
  }

  /** Takes a frame of an attached client. */
  feed(connection: Connection, kind: number, payload: string): void {
    const from = this.attached.find((one) => one.connection === connection);
    if (from?.streams.stdin !== true) return;
    if (kind === frameStdin) this.input.write(payload, connection);
    // With plain `open` input stays for the next client, as other runtimes have it.
    if (kind === frameStdinEof && this.stdinMode === "open-once") this.input.end();
  }

  /** Sets the terminal's size. */
  resize(rows: number, cols: number): void {
    if (this.master < 0) throw failure("failed-precondition", "the container has no terminal");
    resizeTerminal(this.master, rows, cols);
  }

  /** Reads what is left, up to one buffer a stream. */
  drain(): void {
    for (const reader of this.readers) reader.drain();
  }

  /** Stops, whoever still holds the other ends. */
  close(): void {
    this.input.close();
    for (const reader of this.readers) reader.close();
  }

  private read(loop: Loop, fd: number, stream: LogStream): void {
    const kind = stream === "stdout" ? frameStdout : frameStderr;
    const { log } = this;
    const take = log === undefined ? this.takeUnlogged(kind) : this.takeInto(log, stream, kind);
    const reader = new OutputReader(loop, fd, take, () => {
      if (!this.ended) return;
      this.input.close();
      this.onEnd();
    });
    this.readers.push(reader);
  }

  /** Without a log only those who are attached get anything. */
  private takeUnlogged(kind: number): OutputTaker {
    return takeText(
      (text) => {
        this.send(kind, text);
      },
      () => this.isWanted(kind),
    );
  }

  /** The log reads by itself, into its own memory; only those who are attached need a copy. */
  private takeInto(log: ContainerLog, stream: LogStream, kind: number): OutputTaker {
    return (fd) => {
      const got = log.readFrom(fd, stream);
      if (got !== undefined && got > 0 && this.isWanted(kind)) this.send(kind, log.lastText(stream));
      if (log.isFull) this.setPaused(true);
      return got;
    };
  }

  /** Looks without a closure: it is asked for every read. */
  private isWanted(kind: number): boolean {
    for (const { streams } of this.attached) {
      if (kind === frameStdout ? streams.stdout : streams.stderr) return true;
    }
    return false;
  }

  private setPaused(paused: boolean): void {
    for (const reader of this.readers) reader.setPaused(paused);
  }

  private send(kind: number, payload: string): void {
    for (const { connection, streams } of this.attached) {
      if (!(kind === frameStdout ? streams.stdout : streams.stderr)) continue;
      if (connection.backlog + payload.length > maxAttachedBacklogBytes) connection.close();
      else connection.sendFrame(kind, payload);
    }
  }
}
