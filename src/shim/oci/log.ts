import { O } from "../program/ffi/constants.ts";
import { close, open, writeAll } from "../program/ffi/files.ts";
import { isTerminal } from "./ffi/os.ts";
import { encode } from "../program/json.ts";

/** How lines are written. */
export type LogFormat = "text" | "json";

/** Where the command says what went on: a file that its caller reads, or standard error. */
export interface Log {
  error(this: void, message: string): void;
  warn(this: void, message: string): void;
  debug(this: void, message: string): void;
}

type Level = "error" | "warning" | "debug";

const fileMode = 0o600;

/** A log to `path`, or to standard error where there is none; debug lines only where they are `wanted`. */
export function openLog(path: string | undefined, format: LogFormat, wanted: "all" | "no-debug"): Log {
  // Opened at the first line: most commands have nothing to say.
  const write = (level: Level, message: string): void => {
    const line = format === "json" ? jsonLine(level, message) : textLine(level, message);
    if (path === undefined || path === "") {
      io.stderr.write(line);
      return;
    }
    const fd = open(path, O.WRONLY | O.CREAT | O.APPEND, fileMode);
    writeAll(fd, line, path);
    close(fd);
  };
  return {
    error: (message) => {
      write("error", message);
      // The caller's log is not what a person looks at.
      if (path !== undefined && path !== "") io.stderr.write(`${message}\n`);
    },
    warn: (message) => {
      // Without a log of its own standard error is the container's, too: that gets what a person is there to read.
      if (wanted === "all" || (path !== undefined && path !== "") || isTerminal(2)) write("warning", message);
    },
    debug: (message) => {
      if (wanted === "all") write("debug", message);
    },
  };
}

function jsonLine(level: Level, msg: string): string {
  return `${encode({ level, msg, time: timeText() })}\n`;
}

function textLine(level: Level, message: string): string {
  return `time="${timeText()}" level=${level} msg=${encode(message)}\n`;
}

/** RFC 3339, in UTC. */
function timeText(): string {
  return os.date("!%Y-%m-%dT%H:%M:%SZ");
}
