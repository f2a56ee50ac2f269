import { commonNr } from "../ffi/arch.ts";
import { MSG } from "../ffi/constants.ts";
import { E, type Failure, asFailure, errno } from "../ffi/error.ts";
import { mapRegion } from "../ffi/gather.ts";
import { C } from "../ffi/libc.ts";
import { type Bytes, type Doubles, asDoubles, doubles, offset, toText } from "../ffi/memory.ts";
import { setName } from "../ffi/processes.ts";
import { sendWithFds } from "../ffi/sockets.ts";
import { GarbageBound } from "../garbage.ts";
import { openLogFile } from "./file.ts";
import { LogFile, type Unsaid } from "./log-file.ts";
import {
  answerBytes,
  answerField,
  answerNumbers,
  headerBytes,
  headerField,
  maxTextBytes,
  messageKind,
  reasons,
} from "./message.ts";

const lastFd = 0xffffffff;
const firstPrivateFd = 3;

/** What a writer needs to know of its log. */
export interface LogState {
  readonly fd: number;
  /** See {@link LogFile}. */
  readonly maxBytes: number;
  readonly unsaid: Unsaid;
}

/**
 * The process that writes a container's log, so that a disk that hangs holds up nobody else. It ends when the shim
 * closes its end, after everything was written.
 *
 * It shares its memory with the shim until it changes it, so it changes next to nothing: one buffer, no garbage in the
 * steady state, and no collection, which would touch every object of the heap.
 */
export function runWriter(socket: number, log: LogState): void {
  setName("berth-log");
  collectgarbage("stop");
  closeOthers(socket, log.fd);
  const writer = new LogWriter(socket, new LogFile(log.fd, log.maxBytes, log.unsaid));
  const garbage = new GarbageBound();
  while (writer.turn()) garbage.check();
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

/** Takes messages (drawn in message.ts) and answers each. */
class LogWriter {
  private readonly socket: number;
  private readonly file: LogFile;
  private readonly message: Bytes;
  private readonly header: Doubles;
  private readonly text: Bytes;
  private readonly answer: Doubles = doubles(answerNumbers);

  constructor(socket: number, file: LogFile) {
    this.socket = socket;
    this.file = file;
    this.message = mapRegion(headerBytes + maxTextBytes).memory;
    this.header = asDoubles(this.message);
    this.text = offset(this.message, headerBytes);
  }

  /** Takes one message; false at the end. */
  turn(): boolean {
    const got = C.read(this.socket, this.message, headerBytes + maxTextBytes);
    if (got < 0 && errno() === E.INTR) return true;
    if (got <= 0) return false;
    const kind = this.header[headerField.kind] as number;
    if (kind === messageKind.reopen) {
      this.reopen(toText(this.text, got - headerBytes));
    } else {
      this.take(kind);
      this.fillAnswer(0);
      C.send(this.socket, this.answer, answerBytes, MSG.NOSIGNAL);
    }
    return true;
  }

  private take(kind: number): void {
    const { header, file } = this;
    const lines = header[headerField.lines] as number;
    const bytes = header[headerField.bytes] as number;
    if (kind === messageKind.lines) {
      file.add(this.text, lines, bytes, header[headerField.last] as number);
    } else if (kind === messageKind.missing) {
      file.lose(lines, bytes, reasons.stuck);
      file.sayIfRoom();
    } else {
      file.say();
    }
  }

  private fillAnswer(problem: number): void {
    const { answer, header } = this;
    answer[answerField.kind] = header[headerField.kind] as number;
    answer[answerField.lines] = header[headerField.lines] as number;
    answer[answerField.bytes] = header[headerField.bytes] as number;
    answer[answerField.reason] = this.file.reason;
    answer[answerField.errno] = problem;
  }

  private reopen(path: string): void {
    const [ok, opened] = pcall(openLogFile, path);
    if (ok) this.file.goOnIn(opened);
    this.fillAnswer(ok ? 0 : ((asFailure(opened) as Partial<Failure>).errno ?? E.IO));
    sendWithFds(this.socket, toText(this.answer, answerBytes), ok ? [opened] : []);
  }
}
