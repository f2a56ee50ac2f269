import { commonNr } from "../ffi/arch.ts";
import { MSG } from "../ffi/constants.ts";
import { E, type Failure, asFailure, errno, errorText } from "../ffi/error.ts";
import { close } from "../ffi/files.ts";
import { mapRegion } from "../ffi/gather.ts";
import { C } from "../ffi/libc.ts";
import { type Bytes, type Ints, ints, offset, toNumber, toText } from "../ffi/memory.ts";
import { setName } from "../ffi/processes.ts";
import { sendWithFds } from "../ffi/sockets.ts";
import { nowParts } from "../ffi/time.ts";
import { openLogFile } from "./file.ts";
import { answerInts, headerBytes, maxTextBytes, messageKind, missingLines } from "./message.ts";
import { rfc3339 } from "./timestamp.ts";

const intBytes = 4;
const lastFd = 0xffffffff;
const firstPrivateFd = 3;
const seekEnd = 2;

/**
 * The process that writes a container's log, so that a disk that hangs holds up nobody else. It ends when the shim
 * closes its end, after everything was written.
 *
 * It shares its memory with the shim until it changes it, so it changes next to nothing: one buffer, no garbage in the
 * steady state, and no collection, which would touch every object of the heap.
 */
export function runWriter(socket: number, log: number): void {
  setName("berth-log");
  collectgarbage("stop");
  closeOthers(socket, log);
  const writer = new LogWriter(socket, log);
  while (writer.turn());
}

function closeOthers(one: number, other: number): void {
  const low = Math.min(one, other);
  const high = Math.max(one, other);
  closeRange(firstPrivateFd, low - 1);
  closeRange(low + 1, high - 1);
  closeRange(high + 1, lastFd);
}

function closeRange(first: number, last: number): void {
  if (first <= last) C.sys_close_range(commonNr.closeRange, first, last, 0);
}

class LogWriter {
  private readonly socket: number;
  private log: number;
  private readonly message: Bytes;
  private readonly text: Bytes;
  private readonly answer: Ints;
  /** Lines lost since the log last took one, and why. */
  private missing = 0;
  private reason = 0;

  constructor(socket: number, log: number) {
    this.socket = socket;
    this.log = log;
    this.message = mapRegion(headerBytes + maxTextBytes).memory;
    this.text = offset(this.message, headerBytes);
    this.answer = ints(answerInts);
  }

  /** Takes one message; false at the end. */
  turn(): boolean {
    const got = C.read(this.socket, this.message, headerBytes + maxTextBytes);
    if (got < 0 && errno() === E.INTR) return true;
    if (got <= 0) return false;
    if (this.message[0] === messageKind.reopen) {
      this.reopen(toText(this.text, got - headerBytes));
    } else {
      this.writeLines(got - headerBytes);
    }
    return true;
  }

  private writeLines(count: number): void {
    const lines = this.message;
    const total =
      (lines[4] as number) +
      (lines[5] as number) * 0x100 +
      (lines[6] as number) * 0x10000 +
      (lines[7] as number) * 0x1000000;
    const lost = this.announceMissing() && this.write(this.text, count) ? 0 : total;
    this.missing = this.missing + lost;
    this.tell(lost);
  }

  /** Says in the log how many lines are missing, once it takes lines again; false while it does not. */
  private announceMissing(): boolean {
    if (this.missing === 0) return true;
    const [seconds, nanoseconds] = nowParts();
    const text = missingLines(rfc3339(seconds, nanoseconds), this.missing, errorText(this.reason));
    if (!this.write(text, text.length)) return false;
    this.missing = 0;
    return true;
  }

  /** Adds all of it to the log or, on an error, nothing: what went before the error is cut off again. */
  private write(text: Bytes | string, count: number): boolean {
    let done = 0;
    while (done < count) {
      const rest = done === 0 ? text : restOf(text, done);
      const put = C.write(this.log, rest, count - done);
      if (put > 0) {
        done = done + put;
        continue;
      }
      const number = errno();
      if (number === E.INTR) continue;
      this.reason = number;
      if (done > 0) this.cutOff(done);
      return false;
    }
    return true;
  }

  private cutOff(count: number): void {
    const end = toNumber(C.lseek(this.log, 0, seekEnd));
    C.ftruncate(this.log, end - count);
  }

  private tell(lost: number): void {
    this.answer[0] = messageKind.lines;
    this.answer[1] = lost;
    C.send(this.socket, this.answer, answerInts * intBytes, MSG.NOSIGNAL);
  }

  private reopen(path: string): void {
    const [ok, opened] = pcall(openLogFile, path);
    if (!ok) {
      this.answer[0] = messageKind.reopen;
      this.answer[1] = 0;
      this.answer[2] = (asFailure(opened) as Partial<Failure>).errno ?? E.IO;
      C.send(this.socket, this.answer, answerInts * intBytes, MSG.NOSIGNAL);
      return;
    }
    close(this.log);
    this.log = opened;
    sendWithFds(
      this.socket,
      `${string.char(messageKind.reopen)}${string.rep("\0", answerInts * intBytes - 1)}`,
      [opened],
    );
  }
}

function restOf(text: Bytes | string, done: number): Bytes | string {
  return typeof text === "string" ? string.sub(text, done + 1) : offset(text, done);
}
