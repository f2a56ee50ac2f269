import type { LogTarget } from "../../protocol/messages.ts";
import { failure } from "../failure.ts";
import { MSG } from "../ffi/constants.ts";
import { E, type Failure, sysError } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { type Doubles, doubles, toText } from "../ffi/memory.ts";
import type { Loop } from "../wire/loop.ts";
import { openLogFile } from "./file.ts";
import { type AnsweredKind, Ledger } from "./ledger.ts";
import type { Loss } from "./loss.ts";
import { answerField, headerBytes, headerField, headerNumbers, messageKind } from "./message.ts";
import type { Packet } from "./packet.ts";
import { WriterProcess } from "./writer-process.ts";

/** Called when the log was reopened, or could not be. */
export type Reopened = (problem?: Failure) => void;

/** A reopening that the writer has yet to answer: the number of its message, and who waits for it. */
interface Reopening {
  readonly message: number;
  readonly waiting: readonly Reopened[];
}

/**
 * The way of lines into a log's file: to a writer, forked when there is something to write, and from it the answers.
 * Which lines are missing is in the {@link Ledger}. A reopening goes before lines that wait, so a disk that is slower
 * than the container doesn't delay it.
 */
export class Delivery {
  private readonly path: string;
  private readonly ledger = new Ledger();
  private readonly writer: WriterProcess;
  private readonly header: Doubles = doubles(headerNumbers);
  private file: number;
  private dropping = false;
  private reopenings: Reopened[] = [];
  private reopening: Reopening | undefined;
  private ending = false;

  /** Opens the file, making it; `onProgress` is called when what could not be sent may be sent. */
  constructor(target: LogTarget, loop: Loop, onProgress: (this: void) => void) {
    this.path = target.path;
    this.file = openLogFile(target.path);
    this.writer = new WriterProcess(loop, {
      state: () => ({
        fd: this.file,
        maxBytes: target.maxBytes,
        unsaid: {
          lines: this.ledger.known.lines,
          bytes: this.ledger.known.bytes,
          reason: this.ledger.reason,
        },
      }),
      expectsLog: () => this.reopening?.message === this.ledger.answers,
      onAnswer: (answer, log) => {
        this.answered(answer, log);
      },
      onDrained: () => {
        onProgress();
      },
      onDeath: () => {
        this.writerDied();
        onProgress();
      },
    });
  }

  /** What is not in the log: its disk was stuck or full, or its ceiling reached. */
  get lost(): Readonly<Loss> {
    return this.ledger.lost;
  }

  /** Moves while the writer makes progress. */
  get answers(): number {
    return this.ledger.answers;
  }

  /** True where everything was answered. */
  get isSettled(): boolean {
    return this.ledger.isSettled && this.reopenings.length === 0;
  }

  /** Takes the lines of a packet, which is empty afterwards; false where it has to wait. */
  take(packet: Packet): boolean {
    if (packet.lines === 0) return true;
    if (this.isDropping()) {
      this.drop(packet);
      return true;
    }
    if (!this.clearWay() || !packet.send(this.writer.socket)) return false;
    this.ledger.sent(packet.lines, packet.bytes);
    packet.clear();
    return true;
  }

  /** Counts the lines of a packet as missing. */
  drop(packet: Packet): void {
    this.ledger.dropped(packet.lines, packet.bytes);
    packet.clear();
  }

  /** Drops what comes, until the writer answers. */
  startDropping(): void {
    this.dropping = true;
  }

  /** Goes on in a fresh file at the log's path; `done` when that exists and everything later goes there. */
  reopen(done: Reopened): void {
    const problem = this.writer.start();
    if (problem === undefined) this.reopenings.push(done);
    else done(problem);
  }

  /** Sends what waits and needs no lines. */
  goOn(): void {
    if (this.ledger.mustTell || this.reopenings.length > 0) this.clearWay();
  }

  /** Has it said what is missing, above a ceiling as well; true when all that can be written is. */
  finish(): boolean {
    if (!this.isSettled) {
      this.goOn();
      return false;
    }
    if (this.ending || this.ledger.known.lines === 0) return true;
    this.ending = this.clearWay() && this.send(messageKind.end, "");
    if (this.ending) this.ledger.sent(0, 0);
    return false;
  }

  /** Lets the writer go: it ends when it has written what it was given. */
  rest(): void {
    this.writer.stop();
  }

  close(): void {
    this.writer.stop();
    close(this.file);
  }

  /** Sends what goes before the next lines; false where these have to wait. */
  private clearWay(): boolean {
    const { ledger } = this;
    if (!ledger.hasRoom || this.writer.start() !== undefined) return false;
    if (ledger.mustTell && !this.tell()) return false;
    if (this.reopenings.length > 0 && this.reopening === undefined && !this.sendReopening()) return false;
    return ledger.hasRoom;
  }

  /** Dropping ends with an answer of the writer, or with another writer where there is none. */
  private isDropping(): boolean {
    if (this.dropping && !this.writer.runs) this.dropping = this.writer.start() !== undefined;
    return this.dropping;
  }

  private tell(): boolean {
    const { ledger, header } = this;
    header[headerField.lines] = ledger.owed.lines;
    header[headerField.bytes] = ledger.owed.bytes;
    if (!this.send(messageKind.missing, "")) return false;
    ledger.told();
    return ledger.hasRoom;
  }

  /** One for all who asked so far. */
  private sendReopening(): boolean {
    if (!this.send(messageKind.reopen, this.path)) return false;
    this.reopening = { message: this.ledger.messages, waiting: this.reopenings };
    this.reopenings = [];
    this.ledger.sent(0, 0);
    return true;
  }

  private send(kind: number, text: string): boolean {
    this.header[headerField.kind] = kind;
    const message = toText(this.header, headerBytes) + text;
    const sent = C.send(this.writer.socket, message, message.length, MSG.NOSIGNAL | MSG.DONTWAIT) >= 0;
    this.header[headerField.lines] = 0;
    this.header[headerField.bytes] = 0;
    return sent;
  }

  private answered(answer: Doubles, log: number | undefined): void {
    this.dropping = false;
    this.ledger.answered(
      kindOf(answer[answerField.kind] as number),
      answer[answerField.lines] as number,
      answer[answerField.bytes] as number,
      answer[answerField.reason] as number,
    );
    if (answer[answerField.kind] !== messageKind.reopen) return;
    const errno = answer[answerField.errno] as number;
    if (log !== undefined) {
      close(this.file);
      this.file = log;
    }
    this.settleReopening(log === undefined ? sysError("open", this.path, errno) : undefined);
  }

  private settleReopening(problem: Failure | undefined): void {
    const waiting = this.reopening?.waiting ?? [];
    this.reopening = undefined;
    for (const done of waiting) done(problem);
  }

  private writerDied(): void {
    this.ledger.died();
    this.settleReopening(failure("internal", `log ${this.path}: the writer died, errno ${E.PIPE}`));
  }
}

function kindOf(kind: number): AnsweredKind {
  if (kind === messageKind.lines) return "lines";
  return kind === messageKind.missing ? "missing" : "other";
}
