import { E, errno, sysError } from "../ffi/error.ts";
import { type Region, discardRegion, mapRegion, moveMemory, readAt } from "../ffi/gather.ts";
import { offset, toText } from "../ffi/memory.ts";
import type { Packet } from "./packet.ts";

/** The stream that a line came from; a tty's output counts as stdout. */
export type LogStream = "stdout" | "stderr";

/** Bytes read from the container at once. */
const maxReadBytes = 32 * 1024;

/**
 * What one stream's container wrote and the log has not taken: always the beginning of a line at its start, read in
 * place, nothing copied but an unfinished line to the front.
 */
export class LineBuffer {
  readonly stream: LogStream;
  private readonly maxLineBytes: number;
  private readonly region: Region;
  private start = 0;
  private end = 0;
  private lastRead = 0;

  constructor(stream: LogStream, maxLineBytes: number) {
    this.stream = stream;
    this.maxLineBytes = maxLineBytes;
    this.region = mapRegion(maxLineBytes + maxReadBytes);
  }

  /** read(2) behind what there is, whose whole lines were all taken: 0 is the end, undefined not ready. */
  fill(fd: number): number | undefined {
    const { region } = this;
    this.lastRead = 0;
    if (this.start > 0) {
      moveMemory(region.address, region.address + this.start, this.end - this.start);
      this.end = this.end - this.start;
      this.start = 0;
    }
    while (true) {
      const got = readAt(fd, region.address + this.end, maxReadBytes);
      if (got >= 0) {
        this.end = this.end + got;
        this.lastRead = got;
        return got;
      }
      const number = errno();
      if (number === E.AGAIN) return undefined;
      // A tty's master says EIO when its last user is gone.
      if (number === E.IO) return 0;
      if (number !== E.INTR) throw sysError("read", this.stream, number);
    }
  }

  /** What the last {@link fill} brought, for those who listen in. */
  lastText(): string {
    return toText(offset(this.region.memory, this.end - this.lastRead), this.lastRead);
  }

  /** Adds lines to an empty packet; false where there is no whole one, nor a part that is long enough for its own. */
  takeLines(packet: Packet): boolean {
    const left = this.end - this.start;
    const address = this.region.address + this.start;
    const taken = packet.addLines(address, left);
    this.start = this.start + taken;
    if (taken > 0) return true;
    if (left <= this.maxLineBytes) return false;
    packet.addLine("P", address, this.maxLineBytes);
    this.start = this.start + this.maxLineBytes;
    return true;
  }

  /** Adds the unfinished line at the stream's end to an empty packet; false where there is none. */
  takeRest(packet: Packet): boolean {
    const left = this.end - this.start;
    if (left === 0) return false;
    packet.addLine("F", this.region.address + this.start, left);
    this.start = this.end;
    return true;
  }

  /** Hands the memory back, where nothing is in it. */
  discard(): void {
    if (this.start !== this.end) return;
    this.start = 0;
    this.end = 0;
    discardRegion(this.region);
  }
}
