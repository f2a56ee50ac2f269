import { EPOLL } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { close, setNonblocking } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { bytes, toText } from "../ffi/memory.ts";
import type { Loop } from "../wire/loop.ts";

/** Bytes taken from a process's output at once: what a pipe holds. */
const outputBytes = 64 * 1024;

const buffer = bytes(outputBytes);

/** Takes what a descriptor has: the number of bytes, 0 at the end, `undefined` where nothing is there yet. */
export type OutputTaker = (this: void, fd: number) => number | undefined;

/** A taker that hands out what it read as a string, or throws it away where that is not wanted. */
export function takeText(
  onText: (this: void, text: string) => void,
  isWanted: (this: void) => boolean = () => true,
): OutputTaker {
  return (fd) => {
    const got = C.read(fd, buffer, outputBytes);
    if (got > 0) {
      if (isWanted()) onText(toText(buffer, got));
      return got;
    }
    const number = got < 0 ? errno() : 0;
    // EIO is how a terminal says that its last process has gone.
    return number === E.AGAIN || number === E.INTR ? undefined : 0;
  };
}

/** One end of a pipe, or a terminal's master, read as the loop finds it ready. */
export class OutputReader {
  private readonly fd: number;
  private readonly loop: Loop;
  private readonly take: OutputTaker;
  private readonly onEnd: (this: void) => void;
  /** Made once: a busy container is paused and resumed all the time. */
  private readonly onReady = (): void => {
    this.read();
  };
  private open = true;
  private paused = false;

  constructor(loop: Loop, fd: number, take: OutputTaker, onEnd: (this: void) => void) {
    this.fd = fd;
    this.loop = loop;
    this.take = take;
    this.onEnd = onEnd;
    setNonblocking(fd);
    this.watch();
  }

  get isOpen(): boolean {
    return this.open;
  }

  /** Leaves bytes where they are for a while, which holds the writers back. */
  setPaused(paused: boolean): void {
    if (!this.open || this.paused === paused) return;
    this.paused = paused;
    // Removed rather than left without events: epoll would still report EPOLLHUP, again and again.
    if (paused) this.loop.remove(this.fd);
    else this.watch();
  }

  /** Reads what is there now, at most a pipe's worth. */
  drain(): void {
    if (this.open && !this.paused) this.read();
  }

  /** Stops reading for good; nobody is told. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    if (!this.paused) this.loop.remove(this.fd);
    close(this.fd);
  }

  private watch(): void {
    this.loop.add(this.fd, EPOLL.IN, this.onReady);
  }

  private read(): void {
    const { take } = this;
    if (take(this.fd) !== 0) return;
    this.close();
    this.onEnd();
  }
}
