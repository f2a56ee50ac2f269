import { errorText } from "../ffi/error.ts";
import { nowParts } from "../ffi/time.ts";
import { reasons } from "./message.ts";
import type { Loss } from "./loss.ts";
import { rfc3339 } from "./timestamp.ts";

/** Room that is kept below a log's ceiling for what Berth itself has to say. */
export const noticeReserveBytes = 1024;

/** Says that from here on nothing is written. */
export function droppingNotice(maxBytes: number): string {
  return notice(`this log reached its ceiling of ${maxBytes} bytes, lines are dropped until it is rotated`);
}

/** Stands in a log for the lines that are missing. */
export function missingNotice({ lines, bytes }: Loss, reason: number): string {
  return notice(`${lines} lines (${bytes} bytes) of this log are missing here: ${wordsFor(reason)}`);
}

/** Ends a stream's line of which only the first parts are in the log. */
export function lineEnd(stream: "stdout" | "stderr"): string {
  return `${now()} ${stream} F \n`;
}

function notice(text: string): string {
  return `${now()} stderr F berth: ${text}\n`;
}

function wordsFor(reason: number): string {
  if (reason === reasons.ceiling) return "its ceiling was reached";
  if (reason === reasons.stuck) return "the writer was stuck or died";
  return errorText(reason);
}

function now(): string {
  const [seconds, nanoseconds] = nowParts();
  return rfc3339(seconds, nanoseconds);
}
