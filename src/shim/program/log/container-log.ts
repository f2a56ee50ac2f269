import type { LogTarget } from "../../protocol/messages.ts";
import { failure } from "../failure.ts";
import type { Loop, Timer } from "../wire/loop.ts";
import { Delivery, type Reopened } from "./delivery.ts";
import { LineBuffer, type LogStream } from "./line-buffer.ts";
import type { Loss } from "./loss.ts";
import { maxTextBytes } from "./message.ts";
import { Packet } from "./packet.ts";
import { Stillness } from "./stillness.ts";

/** How long the container may be held back by a writer that makes no progress; then lines are dropped and counted. */
const stallMs = 1_000;

/** How long without a line before the writer is let go. */
const quietMs = 10_000;

/** Room in a message for a line's time, stream, tag and newline. */
const maxFrameOfLineBytes = 64;

/**
 * A container's log. The shim reads and frames the lines and has a child write them, so that a disk that hangs stops
 * nothing else. The child is forked at the first line and let go after {@link quietMs} without one: a quiet
 * container's shim has none. What is not yet taken stays in the pipe or in one read buffer a stream; there is no other
 * queue, and the way of a line makes no garbage.
 *
 * ```
 *  pipe ──read──► LineBuffer ──► Delivery ──sendmsg, 8 unanswered at most──► writer ──write──► LogFile
 *                   │                 ◄──────── answer: written, or why not ────┘ at its ceiling, or on an error,
 *                   ├ not taken: `isFull`, the pipe waits                         nothing of the message is in the file
 *                   └ no answer for 1 s: lines are dropped and counted until there is one, then a line says how many
 * ```
 */
export class ContainerLog {
  private readonly loop: Loop;
  private readonly buffers: Readonly<Record<LogStream, LineBuffer>>;
  private readonly packet: Packet;
  private readonly delivery: Delivery;
  /** The stream whose lines wait for room, with the packet that waits. */
  private waiting: LineBuffer | undefined;
  private readonly stall: Stillness;
  private readonly quiet: Stillness;
  private finishTimer: Timer | undefined;
  private writable: (() => void) | undefined;
  private finished: (() => void) | undefined;

  /** Opens the file, making it; what hangs or fails here fails the container's creation. */
  constructor(target: LogTarget, loop: Loop) {
    const { path, maxLineBytes } = target;
    if (maxLineBytes < 1 || maxLineBytes > maxTextBytes - maxFrameOfLineBytes) {
      throw failure("invalid-argument", `log ${path}: lines of ${maxLineBytes} bytes cannot be had`);
    }
    this.loop = loop;
    this.packet = new Packet(maxLineBytes);
    this.buffers = {
      stdout: new LineBuffer("stdout", maxLineBytes),
      stderr: new LineBuffer("stderr", maxLineBytes),
    };
    this.delivery = new Delivery(target, loop, () => {
      this.goOn();
    });
    const answers = (): number => this.delivery.answers;
    this.stall = new Stillness(loop, stallMs, answers, () => {
      this.giveUpWaiting();
    });
    this.quiet = new Stillness(loop, quietMs, answers, () => {
      this.restIfIdle();
    });
  }

  /** What is not in the log: its disk was stuck or full, or its ceiling reached. */
  get lost(): Readonly<Loss> {
    return this.delivery.lost;
  }

  /** True while nothing more may be read; {@link onWritable} says when that is over, within {@link stallMs}. */
  get isFull(): boolean {
    return this.waiting !== undefined;
  }

  /** Has `listener` called whenever the log stops being full. */
  onWritable(listener: () => void): void {
    this.writable = listener;
  }

  /** Reads what the container wrote, once; the number of bytes, 0 at the end, undefined where nothing is there. */
  readFrom(fd: number, stream: LogStream): number | undefined {
    if (this.isFull) return undefined;
    const buffer = this.buffers[stream];
    const got = buffer.fill(fd);
    if (got !== undefined && got > 0) {
      this.packet.begin(stream);
      this.passLines(buffer);
    }
    return got;
  }

  /** The bytes of the last {@link readFrom}, for those who are attached. */
  lastText(stream: LogStream): string {
    return this.buffers[stream].lastText();
  }

  /** Goes on in a fresh file at the log's path; `done` when that exists and everything later goes there. */
  reopen(done: Reopened): void {
    this.delivery.reopen(done);
    this.quiet.watch();
    this.goOn();
  }

  /**
   * Ends both streams; `done` is called when all is written, or after `timeoutMs`. Even then the writer goes on by
   * itself with what it was given.
   */
  finish(timeoutMs: number, done: () => void): void {
    this.finished = done;
    this.writable = undefined;
    this.finishTimer = this.loop.after(timeoutMs, () => {
      this.end();
    });
    this.goOn();
  }

  /** Passes on the whole lines of a stream. */
  private passLines(buffer: LineBuffer): void {
    while (buffer.takeLines(this.packet)) {
      if (!this.passPacket(buffer)) return;
    }
  }

  /** False where the packet has to wait, and with it everything. */
  private passPacket(buffer: LineBuffer): boolean {
    if (this.delivery.take(this.packet)) {
      this.quiet.watch();
      return true;
    }
    this.waiting = buffer;
    this.stall.watch();
    return false;
  }

  /** Goes on with what waits: called whenever that may have become possible. */
  private goOn(): void {
    this.delivery.goOn();
    const { waiting } = this;
    if (waiting !== undefined) {
      this.waiting = undefined;
      if (this.passPacket(waiting)) this.passLines(waiting);
      if (this.isFull) return;
      this.writable?.();
      if (this.isFull) return;
    }
    if (this.finished !== undefined && this.passRests() && this.delivery.finish()) this.end();
  }

  /** Passes on unfinished lines; false where they wait. */
  private passRests(): boolean {
    return this.passRest(this.buffers.stdout) && this.passRest(this.buffers.stderr);
  }

  private passRest(buffer: LineBuffer): boolean {
    this.packet.begin(buffer.stream);
    return !buffer.takeRest(this.packet) || this.passPacket(buffer);
  }

  private giveUpWaiting(): void {
    if (!this.isFull) return;
    this.delivery.startDropping();
    this.goOn();
  }

  /** Lets the writer go when there was nothing to write for a while. */
  private restIfIdle(): void {
    if (this.isFull || !this.delivery.isSettled) {
      this.quiet.watch();
      return;
    }
    this.delivery.rest();
    this.buffers.stdout.discard();
    this.buffers.stderr.discard();
  }

  private end(): void {
    const done = this.finished;
    if (done === undefined) return;
    this.finished = undefined;
    if (this.isFull) this.delivery.drop(this.packet);
    this.loop.cancel(this.finishTimer);
    this.stall.cancel();
    this.quiet.cancel();
    this.delivery.close();
    done();
  }
}
