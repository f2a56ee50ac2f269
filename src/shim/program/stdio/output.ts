import { EPOLL } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { close, setNonblocking } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Bytes } from "../ffi/memory.ts";
import { bytes } from "../ffi/memory.ts";
import type { Loop } from "../wire/loop.ts";

/** Bytes taken from a process's output at once: what a pipe holds. */
export const outputBytes = 64 * 1024;

const buffer = bytes(outputBytes);

/** Who gets a process's output. */
export interface OutputHandlers {
  /** `count` bytes at `memory`, which is used again after the call. */
  onBytes(this: void, memory: Bytes, count: number): void;
  /** The writers are gone. */
  onEnd(this: void): void;
}

/** Reads one end of a pipe, or a terminal's master, as the loop finds it ready. */
export class OutputReader {
  readonly fd: number;
  private readonly loop: Loop;
  private readonly handlers: OutputHandlers;
  private open = true;
  private paused = false;

  constructor(loop: Loop, fd: number, handlers: OutputHandlers) {
    this.fd = fd;
    this.loop = loop;
    this.handlers = handlers;
    setNonblocking(fd);
    loop.add(fd, EPOLL.IN, () => {
      this.read();
    });
  }

  get isOpen(): boolean {
    return this.open;
  }

  /** Leaves bytes where they are for a while, which holds the writers back. */
  setPaused(paused: boolean): void {
    if (!this.open || this.paused === paused) return;
    this.paused = paused;
    // Without any event epoll would still report EPOLLHUP, again and again.
    if (paused) this.loop.remove(this.fd);
    else
      this.loop.add(this.fd, EPOLL.IN, () => {
        this.read();
      });
  }

  /** Reads what is there now, at most a pipe's worth: so that what was written before an exit comes before it. */
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

  private read(): void {
    const got = C.read(this.fd, buffer, outputBytes);
    if (got > 0) {
      this.handlers.onBytes(buffer, got);
      return;
    }
    const number = got < 0 ? errno() : 0;
    if (number === E.AGAIN || number === E.INTR) return;
    // EIO is how a terminal says that its last process has gone.
    this.close();
    this.handlers.onEnd();
  }
}
