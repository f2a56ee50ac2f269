import { frameHeaderBytes, frameMessage, maxFrameBytes } from "../../protocol/frame.ts";
import { EPOLL, MSG } from "../ffi/constants.ts";
import { E, errno } from "../ffi/error.ts";
import { C } from "../ffi/libc.ts";
import { bytes, toText } from "../ffi/memory.ts";
import { encode } from "../json.ts";
import type { Loop } from "./loop.ts";

/** Bytes taken from the socket at once. */
const readBytes = 16 * 1024;

/** Bytes that may wait to be sent to one client; one that lets more pile up is cut off. */
export const maxQueuedBytes = 4 * 1024 * 1024;

/** What a connection tells its owner. */
export interface ConnectionHandlers {
  /** A whole frame; `payload` is a byte string. */
  onFrame(this: void, kind: number, payload: string): void;
  /** The client is gone, broke the framing, or did not read: the socket is closed already. */
  onClose(this: void): void;
  /** Everything queued was sent. */
  onDrained?(this: void): void;
}

const inbox = bytes(readBytes);

/** One client on a stream socket: frames in, frames out, never a wait. */
export class Connection {
  readonly fd: number;
  private readonly loop: Loop;
  private handlers: ConnectionHandlers;
  private input = "";
  private queue: string[] = [];
  private queued = 0;
  private open = true;
  private reading = true;
  private ending = false;

  constructor(loop: Loop, fd: number, handlers: ConnectionHandlers) {
    this.loop = loop;
    this.fd = fd;
    this.handlers = handlers;
    loop.add(fd, EPOLL.IN, (events) => {
      if ((events & EPOLL.OUT) !== 0) this.flush();
      if ((events & (EPOLL.IN | EPOLL.HUP | EPOLL.ERR)) !== 0 && this.open) this.receive();
    });
  }

  /** Bytes that the client has yet to take. */
  get backlog(): number {
    return this.queued;
  }

  get isOpen(): boolean {
    return this.open;
  }

  /** From now on another owner is told; frames that are buffered follow. */
  handOver(handlers: ConnectionHandlers): void {
    this.handlers = handlers;
  }

  /** Stops or goes on reading, so that a process that does not take its stdin holds the client back. */
  setReading(reading: boolean): void {
    if (!this.open || this.reading === reading) return;
    this.reading = reading;
    this.watch();
    if (reading) this.deliver();
  }

  /** Sends a JSON document. */
  sendMessage(message: object): void {
    this.sendFrame(frameMessage, encode(message));
  }

  /** Sends a frame; cuts the client off when more than {@link maxQueuedBytes} would wait. */
  sendFrame(kind: number, payload: string): void {
    if (!this.open) return;
    const frame = frameHeader(kind, payload.length) + payload;
    if (this.queued + frame.length > maxQueuedBytes) {
      this.close();
      return;
    }
    this.queue.push(frame);
    this.queued += frame.length;
    if (this.queue.length === 1) this.flush();
  }

  /** Closes once everything queued is sent. */
  end(): void {
    this.ending = true;
    if (this.queued === 0) this.close();
  }

  /** Closes now. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.loop.remove(this.fd);
    C.close(this.fd);
    this.queue = [];
    this.queued = 0;
    this.handlers.onClose();
  }

  private flush(): void {
    while (this.queue.length > 0) {
      const text = this.queue[0] as string;
      const put = C.send(this.fd, text, text.length, MSG.NOSIGNAL | MSG.DONTWAIT);
      if (put < 0) {
        const number = errno();
        if (number === E.INTR) continue;
        if (number === E.AGAIN) break;
        this.close();
        return;
      }
      this.queued -= put;
      if (put === text.length) this.queue.shift();
      else this.queue[0] = string.sub(text, put + 1);
    }
    this.watch();
    if (this.queued > 0) return;
    if (this.ending) this.close();
    else this.handlers.onDrained?.();
  }

  private watch(): void {
    if (!this.open) return;
    this.loop.modify(this.fd, (this.reading ? EPOLL.IN : 0) | (this.queued > 0 ? EPOLL.OUT : 0));
  }

  private receive(): void {
    const got = C.read(this.fd, inbox, readBytes);
    if (got > 0) {
      this.input += toText(inbox, got);
      this.deliver();
      return;
    }
    const number = errno();
    if (got < 0 && (number === E.AGAIN || number === E.INTR)) return;
    this.close();
  }

  private deliver(): void {
    while (this.open && this.reading && this.input.length >= frameHeaderBytes) {
      const [a, b, c, d, kind] = string.byte(this.input, 1, frameHeaderBytes);
      const length =
        (a as number) + (b as number) * 0x100 + (c as number) * 0x10000 + (d as number) * 0x1000000;
      if (length > maxFrameBytes) {
        this.close();
        return;
      }
      const end = frameHeaderBytes + length;
      if (this.input.length < end) return;
      const payload = string.sub(this.input, frameHeaderBytes + 1, end);
      this.input = string.sub(this.input, end + 1);
      this.handlers.onFrame(kind as number, payload);
    }
  }
}

/** The five bytes before a payload. */
export function frameHeader(kind: number, length: number): string {
  return string.char(length & 0xff, (length >> 8) & 0xff, (length >> 16) & 0xff, (length >> 24) & 0xff, kind);
}
