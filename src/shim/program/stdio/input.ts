import { EPOLL } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { close, setNonblocking } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import type { Loop } from "../wire/loop.ts";

/** Whoever sends input, and can be asked to wait. */
export interface InputSource {
  setReading(reading: boolean): void;
}

/** Feeds a process's standard input, or a terminal's master, without ever waiting for it. */
export class InputWriter {
  private readonly loop: Loop;
  private fd: number;
  private pending = "";
  private waiting: InputSource[] = [];
  private watched = false;
  private ending = false;

  /** `fd` is -1 where there is no standard input: what comes is dropped. */
  constructor(loop: Loop, fd: number) {
    this.loop = loop;
    this.fd = fd;
    if (fd >= 0) setNonblocking(fd);
  }

  get isOpen(): boolean {
    return this.fd >= 0 && !this.ending;
  }

  /** Takes bytes; while some are left over, `source` is asked to wait. */
  write(text: string, source: InputSource): void {
    if (!this.isOpen || text.length === 0) return;
    this.pending += text;
    this.flush();
    if (this.pending.length === 0) return;
    source.setReading(false);
    this.waiting.push(source);
  }

  /** Closes standard input once all that was taken is written. */
  end(): void {
    this.ending = true;
    if (this.pending.length === 0) this.close();
  }

  /** Closes it now: the reader is gone. */
  close(): void {
    if (this.fd < 0) return;
    if (this.watched) this.loop.remove(this.fd);
    this.watched = false;
    close(this.fd);
    this.fd = -1;
    this.pending = "";
    this.release();
  }

  private flush(): void {
    while (this.pending.length > 0) {
      const put = C.write(this.fd, this.pending, this.pending.length);
      if (put > 0) {
        this.pending = string.sub(this.pending, put + 1);
        continue;
      }
      const number = errno();
      if (number === E.INTR) continue;
      if (number === E.AGAIN) break;
      // EPIPE: nobody reads it any more.
      this.close();
      return;
    }
    this.settle();
  }

  private settle(): void {
    const wanted = this.pending.length > 0;
    if (wanted && !this.watched) {
      this.loop.add(this.fd, EPOLL.OUT, () => {
        this.flush();
      });
    }
    if (!wanted && this.watched) this.loop.remove(this.fd);
    this.watched = wanted;
    if (wanted) return;
    if (this.ending) this.close();
    else this.release();
  }

  private release(): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const source of waiting) source.setReading(true);
  }
}
