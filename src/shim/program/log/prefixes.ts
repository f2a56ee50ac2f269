import { addressOf, moveMemory } from "../ffi/gather.ts";
import { type Bytes, bytes, copy } from "../ffi/memory.ts";
import type { LogStream } from "./line-buffer.ts";
import { rfc3339 } from "./timestamp.ts";

/** `2006-01-02T15:04:05.123456789Z stdout F `. */
export const prefixBytes = 40;

const secondsADay = 86_400;
const zero = 48;
const timeBytes = 30;
/** Where the parts of the time stand. */
const place = { hour: 11, minute: 14, second: 17, nanosecond: 20 } as const;

/** One of the four beginnings that a line can have, as a number: stream and tag. */
export function lineKind(stream: LogStream, tag: "F" | "P"): number {
  return (stream === "stdout" ? 0 : 2) + (tag === "F" ? 0 : 1);
}

/** The stream of a line so begun. */
export function streamOf(kind: number): LogStream {
  return kind < 2 ? "stdout" : "stderr";
}

/** True where the line goes on in the next one of its stream. */
export function endsOpen(kind: number): boolean {
  return kind % 2 === 1;
}

/**
 * The four beginnings that a line can have, kept in memory and changed in place: a line every second for a year must
 * leave no garbage.
 */
export class Prefixes {
  private readonly memory: Bytes = bytes(4 * prefixBytes);
  private readonly address = addressOf(this.memory);
  private day = -1;

  /** Sets the time of all that follows. */
  setTime(seconds: number, nanoseconds: number): void {
    const day = Math.floor(seconds / secondsADay);
    if (day !== this.day) this.startDay(day);
    const ofDay = seconds - day * secondsADay;
    this.setDigits(place.hour, 2, Math.floor(ofDay / 3600));
    this.setDigits(place.minute, 2, Math.floor(ofDay / 60) % 60);
    this.setDigits(place.second, 2, ofDay % 60);
    this.setDigits(place.nanosecond, 9, nanoseconds);
    for (let index = 1; index < 4; index++)
      moveMemory(this.address + index * prefixBytes, this.address, timeBytes);
  }

  /** Address of a beginning, by its {@link lineKind}. */
  of(kind: number): number {
    return this.address + kind * prefixBytes;
  }

  private startDay(day: number): void {
    const time = rfc3339(day * secondsADay, 0);
    const text = `${time} stdout F ${time} stdout P ${time} stderr F ${time} stderr P `;
    copy(this.memory, text, 4 * prefixBytes);
    this.day = day;
  }

  private setDigits(at: number, count: number, value: number): void {
    let rest = value;
    for (let index = at + count - 1; index >= at; index--) {
      const digit = rest % 10;
      this.memory[index] = zero + digit;
      rest = (rest - digit) / 10;
    }
  }
}
