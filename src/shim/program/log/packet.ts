import { Gather, addressOf } from "../ffi/gather.ts";
import { type Bytes, type Doubles, bytes, doubles } from "../ffi/memory.ts";
import { nowParts } from "../ffi/time.ts";
import type { LogStream } from "./line-buffer.ts";
import { headerBytes, headerField, headerNumbers, maxTextBytes, messageKind } from "./message.ts";
import { Prefixes, lineKind, prefixBytes } from "./prefixes.ts";

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
  private readonly header: Doubles = doubles(headerNumbers);
  private readonly headerAddress = addressOf(this.header);
  private readonly prefixes = new Prefixes();
  private readonly newline: Bytes = bytes(1);
  private readonly newlineAddress = addressOf(this.newline);
  private readonly maxLineBytes: number;
  private stream: LogStream = "stdout";
  private last = 0;

  constructor(maxLineBytes: number) {
    this.maxLineBytes = maxLineBytes;
    this.newline[0] = 10;
    this.header[headerField.kind] = messageKind.lines;
    this.clear();
  }

  /** Bytes of the lines, as they will stand in the log. */
  get bytes(): number {
    return this.gather.bytes - headerBytes;
  }

  /** Says whose lines are added from now on, and that they come now; the packet must be empty. */
  begin(stream: LogStream): void {
    this.stream = stream;
    const [seconds, nanoseconds] = nowParts();
    this.prefixes.setTime(seconds, nanoseconds);
  }

  /** Adds whole lines from the start of some bytes, until one is too long, or no more have room; returns their bytes. */
  addLines(address: number, count: number): number {
    this.last = lineKind(this.stream, "F");
    const [bytes, lines] = this.gather.addLines(
      address,
      count,
      this.prefixes.of(this.last),
      prefixBytes,
      this.maxLineBytes,
      headerBytes + maxTextBytes,
    );
    this.lines = this.lines + lines;
    return bytes;
  }

  /** Adds one line without a newline of its own; the packet must be empty. */
  addLine(tag: "F" | "P", address: number, count: number): void {
    const { gather } = this;
    this.last = lineKind(this.stream, tag);
    gather.add(this.prefixes.of(this.last), prefixBytes);
    gather.add(address, count);
    gather.add(this.newlineAddress, 1);
    this.lines = this.lines + 1;
  }

  /** Sends it; false where the socket takes no more. */
  send(socket: number): boolean {
    const { header } = this;
    header[headerField.lines] = this.lines;
    header[headerField.bytes] = this.bytes;
    header[headerField.last] = this.last;
    return this.gather.send(socket) >= 0;
  }

  clear(): void {
    this.lines = 0;
    this.gather.clear();
    this.gather.add(this.headerAddress, headerBytes);
  }
}
