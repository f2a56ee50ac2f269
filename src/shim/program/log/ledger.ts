import { Loss } from "./loss.ts";
import { reasons } from "./message.ts";

/** Messages that the writer may have without having answered; the kernel holds ten at most. */
const maxUnanswered = 8;

/** What was done with the lines of an answered message. */
export type AnsweredKind = "lines" | "missing" | "other";

/**
 * What a log's writer was sent and has not answered, and what of the log is missing. Pure: it decides nothing but by
 * what it is told.
 *
 * ```
 *             sent            answered, no reason
 *   lines ──────────► onTheWay ──────────────────► in the log
 *     │                  │ the writer died
 *     │ dropped          ▼                  told, answered with a reason
 *     └──────────────► owed ───────────────────────► known to the writer ──► said in the log
 *                                                        ▲
 *   onTheWay ── answered with a reason ──────────────────┘
 * ```
 */
export class Ledger {
  /** Everything that is not in the log. */
  readonly lost = new Loss();
  /** Missing, and the writer has yet to be told. */
  readonly owed = new Loss();
  /** Missing; the writer, and the next one, says so in the log when it can. */
  readonly known = new Loss();
  /** Why `known` is missing. */
  reason: number = reasons.none;
  /** Messages sent so far, and answers to them: the second moves while the writer makes progress. */
  messages = 0;
  answers = 0;
  private readonly onTheWay = new Loss();
  private telling = false;

  /** True where the writer may be sent another message. */
  get hasRoom(): boolean {
    return this.messages - this.answers < maxUnanswered;
  }

  /** True where nothing is to be waited for. */
  get isSettled(): boolean {
    return this.messages === this.answers && this.owed.lines === 0;
  }

  /** True where the writer has to be told of dropped lines before it gets others. */
  get mustTell(): boolean {
    return this.owed.lines > 0 && !this.telling;
  }

  /** Lines are gone before they were sent. */
  dropped(lines: number, bytes: number): void {
    this.lost.add(lines, bytes);
    this.owed.add(lines, bytes);
  }

  /** A message with so many lines was sent. */
  sent(lines: number, bytes: number): void {
    this.messages = this.messages + 1;
    this.onTheWay.add(lines, bytes);
  }

  /** The writer was told of all that is owed. */
  told(): void {
    this.messages = this.messages + 1;
    this.telling = true;
  }

  /** The writer answered its oldest message; `reason` is why something is missing in the log and not said there. */
  answered(kind: AnsweredKind, lines: number, bytes: number, reason: number): void {
    this.answers = this.answers + 1;
    if (kind === "missing") {
      this.telling = false;
      this.owed.add(-lines, -bytes);
    } else if (kind === "lines") {
      this.onTheWay.add(-lines, -bytes);
      if (reason !== reasons.none) this.lost.add(lines, bytes);
    }
    this.reason = reason;
    if (reason === reasons.none) this.known.clear();
    else this.known.add(lines, bytes);
  }

  /** The writer died with what it had not answered. */
  died(): void {
    this.answers = this.messages;
    this.telling = false;
    this.lost.add(this.onTheWay.lines, this.onTheWay.bytes);
    this.owed.take(this.onTheWay);
  }
}
