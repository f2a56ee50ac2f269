import { Gather, addressOf } from "../ffi/gather.ts";
import { type Bytes, bytes, copy } from "../ffi/memory.ts";
import type { LogStream } from "./line-buffer.ts";
import { headerBytes, maxTextBytes, messageKind } from "./message.ts";

/** `2006-01-02T15:04:05.123456789Z stdout F `. */
const prefixBytes = 40;

/** Pieces of memory in a message: the header, and two for most lines; the kernel takes 1024 (UIO_MAXIOV). */
const maxPieces = 1 + 2 * 500;

/**
 * Lines on their way to the writer, in the CRI's log format: `<time> <stream> <tag> <text>`, tag P where the line goes
 * on in the next one of the same stream, F where it ends. Prefix, text and newline are gathered from where they are.
 *
 * @see https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
export class Packet {
  lines = 0;
  private readonly gather = new Gather(maxPieces);
  private readonly header: Bytes = bytes(headerBytes);
  private readonly prefixes: Bytes = bytes(2 * prefixBytes);
  private readonly newline: Bytes = bytes(1);
  private readonly headerAddress = addressOf(this.header);
  private readonly fullPrefix = addressOf(this.prefixes);
  private readonly newlineAddress = addressOf(this.newline);
  private readonly maxLineBytes: number;

  constructor(maxLineBytes: number) {
    this.maxLineBytes = maxLineBytes;
    this.newline[0] = 10;
    this.header[0] = messageKind.lines;
    this.clear();
  }

  /** What stands before the lines that are added from now on; the packet must be empty. */
  setPrefix(time: string, stream: LogStream): void {
    copy(this.prefixes, `${time} ${stream} F ${time} ${stream} P `, 2 * prefixBytes);
  }

  /** Adds whole lines from the start of some bytes, until one is too long, or no more have room; returns their bytes. */
  addLines(address: number, count: number): number {
    const limit = headerBytes + maxTextBytes;
    const [bytes, lines] = this.gather.addLines(
      address,
      count,
      this.fullPrefix,
      prefixBytes,
      this.maxLineBytes,
      limit,
    );
    this.lines = this.lines + lines;
    return bytes;
  }

  /** Adds one line without a newline of its own; the packet must be empty. */
  addLine(tag: "F" | "P", address: number, count: number): void {
    const { gather } = this;
    gather.add(tag === "F" ? this.fullPrefix : this.fullPrefix + prefixBytes, prefixBytes);
    gather.add(address, count);
    gather.add(this.newlineAddress, 1);
    this.lines = this.lines + 1;
  }

  /** Sends it; false where the socket takes no more. */
  send(socket: number): boolean {
    this.header[4] = this.lines % 256;
    this.header[5] = Math.floor(this.lines / 256);
    return this.gather.send(socket) >= 0;
  }

  clear(): void {
    this.lines = 0;
    this.gather.clear();
    this.gather.add(this.headerAddress, headerBytes);
  }
}
