import type { LogTarget } from "../../protocol/messages.ts";
import { failure } from "../failure.ts";
import { MSG } from "../ffi/constants.ts";
import { E, type Failure, sysError } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { nowParts } from "../ffi/time.ts";
import type { Loop, Timer } from "../wire/loop.ts";
import { openLogFile } from "./file.ts";
import { LineBuffer, type LogStream } from "./line-buffer.ts";
import { headerBytes, maxTextBytes, messageKind, missingLines } from "./message.ts";
import { Packet } from "./packet.ts";
import { rfc3339 } from "./timestamp.ts";
import { WriterProcess } from "./writer-process.ts";

/** Messages that the writer may have without having answered; the kernel holds ten at most. */
const maxUnanswered = 8;

/** How long the container may be held back by a writer that makes no progress; then lines are dropped and counted. */
const stallMs = 1_000;

/** How long without a line before the writer is let go. */
const quietMs = 10_000;

/** Room in a message for a line's time, stream, tag and newline. */
const maxFrameOfLineBytes = 64;

/** Called when the log was reopened, or could not be. */
export type Reopened = (problem?: Failure) => void;

/** What the writer has yet to answer: a number of lines, or a reopening. */
type Unanswered = number | Reopened;

/**
 * A container's log. The shim reads and frames the lines and has a child write them, so that a disk that hangs stops
 * nothing else. The child is forked at the first line and let go after {@link quietMs} without one: a quiet
 * container's shim has none. What is not yet taken stays in the pipe or in one read buffer a stream; there is no other
 * queue, and the way of a line makes no garbage.
 *
 * ```
 *  pipe ──read──► LineBuffer ──sendmsg, 8 unanswered at most──► writer ──write──► file
 *                   │   ◄────────── answer: lines lost ───────────┘ an error: nothing of the message stays in the file
 *                   ├ not taken: `isFull`, the pipe waits
 *                   └ no answer for 1 s: lines are dropped and counted until there is one, then a line says how many
 * ```
 */
export class ContainerLog {
  private readonly path: string;
  private readonly loop: Loop;
  private readonly buffers: Readonly<Record<LogStream, LineBuffer>>;
  private readonly packet: Packet;
  private readonly writer: WriterProcess;
  private file: number;
  private unanswered: Unanswered[] = [];
  private answers = 0;
  /** The stream whose lines wait for room, with the packet that waits. */
  private waiting: LineBuffer | undefined;
  private readonly reopenings: Reopened[] = [];
  private dropping = false;
  private lost = 0;
  private unannounced = 0;
  private stallTimer: Timer | undefined;
  private quietTimer: Timer | undefined;
  private finishTimer: Timer | undefined;
  private writable: (() => void) | undefined;
  private finished: (() => void) | undefined;

  /** Opens the file, making it; what hangs or fails here fails the container's creation. */
  constructor(target: LogTarget, loop: Loop) {
    const { path, maxLineBytes } = target;
    if (maxLineBytes < 1 || maxLineBytes > maxTextBytes - maxFrameOfLineBytes) {
      throw failure("invalid-argument", `log ${path}: lines of ${maxLineBytes} bytes cannot be had`);
    }
    this.path = path;
    this.loop = loop;
    this.packet = new Packet(maxLineBytes);
    this.buffers = {
      stdout: new LineBuffer("stdout", maxLineBytes),
      stderr: new LineBuffer("stderr", maxLineBytes),
    };
    this.file = openLogFile(path);
    this.writer = new WriterProcess(loop, {
      expectsLog: () => typeof this.unanswered[0] === "function",
      onWritten: (lost) => {
        this.progressed();
        this.lost = this.lost + lost;
      },
      onReopened: (log, errno) => {
        this.settleReopen(this.progressed(), log, errno);
      },
      onDrained: () => {
        this.goOn();
      },
      onDeath: () => {
        this.lostWriter();
      },
    });
  }

  /** Lines that are not in the log: its disk was stuck or full. */
  get droppedLines(): number {
    return this.lost;
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
    if (got !== undefined && got > 0) this.pass(buffer);
    return got;
  }

  /** The bytes of the last {@link readFrom}, for those who are attached. */
  lastText(stream: LogStream): string {
    return this.buffers[stream].lastText();
  }

  /** Goes on in a fresh file at the log's path, after everything that was read so far; `done` when that exists. */
  reopen(done: Reopened): void {
    const problem = this.writer.start(this.file);
    if (problem !== undefined) {
      done(problem);
      return;
    }
    this.reopenings.push(done);
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

  /** Sends the whole lines of a stream, or drops and counts them. */
  private pass(buffer: LineBuffer): void {
    this.packet.begin(buffer.stream);
    this.passLines(buffer);
  }

  private passLines(buffer: LineBuffer): void {
    while (buffer.takeLines(this.packet)) {
      if (!this.sendPacket(buffer)) return;
    }
  }

  /** False where the packet has to wait, and with it everything. */
  private sendPacket(buffer: LineBuffer): boolean {
    const { packet } = this;
    if (packet.lines === 0) return true;
    if (this.isDropping()) {
      this.drop(packet.lines);
    } else if (this.canSend() && packet.send(this.writer.socket)) {
      this.unanswered.push(packet.lines);
    } else {
      this.waiting = buffer;
      this.stallTimer ??= this.watchStall();
      return false;
    }
    packet.clear();
    return true;
  }

  /** Dropping ends with an answer of the writer, or with another writer where there is none. */
  private isDropping(): boolean {
    if (this.dropping && !this.writer.runs) this.dropping = this.writer.start(this.file) !== undefined;
    return this.dropping;
  }

  private canSend(): boolean {
    if (this.unanswered.length >= maxUnanswered) return false;
    this.quietTimer ??= this.watchQuiet();
    return this.writer.start(this.file) === undefined && this.announceDropped();
  }

  private drop(lines: number): void {
    this.lost = this.lost + lines;
    this.unannounced = this.unannounced + lines;
  }

  /** Says in the log, once it takes lines again, how many are missing; false where it does not yet. */
  private announceDropped(): boolean {
    if (this.unannounced === 0) return true;
    const text = missingLines(now(), this.unannounced, "the writer was stuck or died");
    if (!this.sendText(messageKind.lines, text)) return false;
    this.unannounced = 0;
    this.unanswered.push(0);
    return this.unanswered.length < maxUnanswered;
  }

  private sendText(kind: number, text: string): boolean {
    const message = string.char(kind) + string.rep("\0", headerBytes - 1) + text;
    return C.send(this.writer.socket, message, message.length, MSG.NOSIGNAL | MSG.DONTWAIT) >= 0;
  }

  /** The writer answered what is returned. */
  private progressed(): Unanswered | undefined {
    this.answers = this.answers + 1;
    this.dropping = false;
    return this.unanswered.shift();
  }

  private settleReopen(item: Unanswered | undefined, log: number | undefined, errno: number): void {
    if (typeof item !== "function") return;
    if (log === undefined) {
      item(sysError("open", this.path, errno));
      return;
    }
    close(this.file);
    this.file = log;
    item();
  }

  /** Goes on with what waits: called whenever that may have become possible. */
  private goOn(): void {
    const { waiting } = this;
    if (waiting !== undefined) {
      this.waiting = undefined;
      if (this.sendPacket(waiting)) this.passLines(waiting);
      if (this.isFull) return;
      this.writable?.();
      if (this.isFull) return;
    }
    if (this.unannounced > 0 && !this.dropping) this.canSend();
    this.sendReopenings();
    if (this.finished !== undefined && this.passRests() && this.isSettled) this.end();
  }

  private sendReopenings(): void {
    while (this.reopenings.length > 0 && this.canSend()) {
      const [done] = this.reopenings;
      if (done === undefined || !this.sendText(messageKind.reopen, this.path)) return;
      this.reopenings.shift();
      this.unanswered.push(done);
    }
  }

  /** Passes on unfinished lines; false where they wait. */
  private passRests(): boolean {
    return this.passRest(this.buffers.stdout) && this.passRest(this.buffers.stderr);
  }

  private passRest(buffer: LineBuffer): boolean {
    this.packet.begin(buffer.stream);
    return !buffer.takeRest(this.packet) || this.sendPacket(buffer);
  }

  private get isSettled(): boolean {
    return this.unanswered.length === 0 && this.reopenings.length === 0 && this.unannounced === 0;
  }

  private watchStall(): Timer {
    const before = this.answers;
    return this.loop.after(stallMs, () => {
      this.stallTimer = undefined;
      if (!this.isFull) return;
      if (this.answers !== before) {
        this.stallTimer = this.watchStall();
        return;
      }
      this.dropping = true;
      this.goOn();
    });
  }

  /** Lets the writer go when there was nothing to write for a while. */
  private watchQuiet(): Timer {
    const before = this.answers;
    return this.loop.after(quietMs, () => {
      this.quietTimer = undefined;
      if (this.answers !== before || this.isFull || !this.isSettled) {
        this.quietTimer = this.watchQuiet();
        return;
      }
      this.writer.stop();
      this.buffers.stdout.discard();
      this.buffers.stderr.discard();
    });
  }

  /** The writer died: what it had not answered counts as lost, the rest goes to another. */
  private lostWriter(): void {
    const items = this.unanswered;
    this.unanswered = [];
    for (const item of items) {
      if (typeof item === "number") this.drop(item);
      else item(failure("internal", `log ${this.path}: the writer died, errno ${E.PIPE}`));
    }
    this.goOn();
  }

  private end(): void {
    const done = this.finished;
    if (done === undefined) return;
    this.finished = undefined;
    if (this.isFull) this.drop(this.packet.lines);
    this.loop.cancel(this.finishTimer);
    this.loop.cancel(this.stallTimer);
    this.loop.cancel(this.quietTimer);
    this.writer.stop();
    close(this.file);
    done();
  }
}

function now(): string {
  const [seconds, nanoseconds] = nowParts();
  return rfc3339(seconds, nanoseconds);
}
