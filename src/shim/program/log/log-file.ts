import { E, errno } from "../ffi/error.ts";
import { close, fileSize } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { type Bytes, offset } from "../ffi/memory.ts";
import { Loss } from "./loss.ts";
import { maxTextBytes, reasons } from "./message.ts";
import { droppingNotice, lineEnd, missingNotice, noticeReserveBytes } from "./notice.ts";
import { endsOpen, streamOf } from "./prefixes.ts";

/** What is missing in a log and not said there yet, and why. */
export interface Unsaid {
  readonly lines: number;
  readonly bytes: number;
  readonly reason: number;
}

/**
 * The file of a container's log. It takes a message's lines as a whole or not at all, and none that would make it
 * longer than its ceiling; what it does not take is counted, and said in it as soon as there is room again: after
 * going on in a fresh file, after somebody cut it short, after the disk was full.
 *
 * Its way with lines leaves no garbage, whether they are taken or not.
 */
export class LogFile {
  /** Why something is missing and not said yet; 0 where nothing is. */
  reason: number;
  private fd: number;
  private readonly maxBytes: number;
  private size: number;
  private readonly missing = new Loss();
  /** Streams whose last line in the log is a part that wants its end. */
  private readonly open = { stdout: false, stderr: false };

  /** `maxBytes` 0 is no ceiling; `unsaid` is what an earlier writer left. */
  constructor(fd: number, maxBytes: number, unsaid: Unsaid) {
    this.fd = fd;
    this.maxBytes = maxBytes === 0 ? Infinity : maxBytes;
    this.size = fileSize(fd);
    this.missing.add(unsaid.lines, unsaid.bytes);
    this.reason = unsaid.reason;
  }

  /** Adds lines, the last of which begins with `last`; afterwards `reason` says whether they are there. */
  add(text: Bytes, lines: number, bytes: number, last: number): void {
    if (!this.hasRoom(bytes)) {
      this.reachCeiling();
      this.lose(lines, bytes, reasons.ceiling);
      return;
    }
    this.say();
    const problem = this.missing.lines > 0 ? this.reason : this.write(text, bytes);
    if (problem === reasons.none) this.open[streamOf(last)] = endsOpen(last);
    else this.lose(lines, bytes, problem);
  }

  /** Counts lines that are missing at this place. */
  lose(lines: number, bytes: number, reason: number): void {
    this.missing.add(lines, bytes);
    this.reason = reason;
  }

  /** Says what is missing, if there is room for more lines. */
  sayIfRoom(): void {
    if (this.hasRoom(0)) this.say();
  }

  /** Says what is missing, beyond the ceiling as well. */
  say(): void {
    if (this.missing.lines === 0) return;
    const problem = this.writeNotice(missingNotice(this.missing, this.reason));
    this.reason = problem;
    if (problem === reasons.none) this.missing.clear();
  }

  /** Goes on in another file. */
  goOnIn(fd: number): void {
    close(this.fd);
    this.fd = fd;
    this.size = fileSize(fd);
    this.sayIfRoom();
  }

  /**
   * Once at its ceiling a log has no room until the largest message would find some, lest small ones slip through
   * between the others. Only there is the file asked for its size: somebody may have cut it short.
   */
  private hasRoom(bytes: number): boolean {
    const limit = this.maxBytes - noticeReserveBytes;
    const reached = this.reason === reasons.ceiling;
    if (!reached && this.size + bytes <= limit) return true;
    this.size = fileSize(this.fd);
    return this.size + (reached ? maxTextBytes : bytes) <= limit;
  }

  private reachCeiling(): void {
    if (this.reason !== reasons.ceiling) this.writeNotice(droppingNotice(this.maxBytes));
  }

  /** Ends the lines that hang in the air, and adds one of our own. */
  private writeNotice(notice: string): number {
    const { open } = this;
    const ends = (open.stdout ? lineEnd("stdout") : "") + (open.stderr ? lineEnd("stderr") : "");
    const problem = this.write(ends + notice, ends.length + notice.length);
    if (problem === reasons.none) {
      open.stdout = false;
      open.stderr = false;
    }
    return problem;
  }

  /** Adds all of it or, on an error, nothing: what went before the error is cut off again. Returns the error's number. */
  private write(text: Bytes | string, count: number): number {
    let done = 0;
    while (done < count) {
      const rest = done === 0 ? text : restOf(text, done);
      const put = C.write(this.fd, rest, count - done);
      if (put > 0) {
        done = done + put;
        continue;
      }
      const number = errno();
      if (number === E.INTR) continue;
      if (done > 0) C.ftruncate(this.fd, fileSize(this.fd) - done);
      return number;
    }
    this.size = this.size + count;
    return reasons.none;
  }
}

function restOf(text: Bytes | string, done: number): Bytes | string {
  return typeof text === "string" ? string.sub(text, done + 1) : offset(text, done);
}
