import { setTimeout as sleep } from "node:timers/promises";
import type { JobPart__Output } from "../cri/types/berth/v1/JobPart.ts";
import type { Context } from "./command.ts";
import { size } from "./format.ts";
import { printable } from "./table.ts";
import { sizeOf, type Terminal } from "./terminal.ts";

/** How often the daemon is asked; what takes less than the first wait shows nothing. */
const pollMs = 250;

/** The job that a call is, as the daemon's journal has it. */
export interface WatchedJob {
  readonly kind: string;
  readonly subject: string;
}

/**
 * Does `work`, a call to the daemon, and meanwhile shows how far the parts of its job are: redrawn in place on a
 * terminal, a line for each step otherwise, on standard error. Programs that read JSON are shown nothing.
 */
export async function withProgress<T>(context: Context, job: WatchedJob, work: () => Promise<T>): Promise<T> {
  if (context.format === "json") return await work();
  const ended = new AbortController();
  const display = openDisplay(context.terminal);
  const watching = watch(context, job, display, ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
    await watching;
    display.close();
  }
}

/** Asks until the end; a daemon that does not answer is the call's own matter. */
async function watch(
  { client, now }: Context,
  job: WatchedJob,
  display: Display,
  ended: AbortSignal,
): Promise<void> {
  const since = BigInt(now()) * 1_000_000n;
  while (!ended.aborted) {
    try {
      await sleep(pollMs, undefined, { signal: ended });
      const { jobs } = await client.admin.ListJobs({ active_only: true, ...job }, { signal: ended });
      const own = jobs.find(
        ({ subject, started_at }) => subject === job.subject && BigInt(started_at) >= since,
      );
      if (own !== undefined) display.show(own.parts);
    } catch {
      return;
    }
  }
}

interface Display {
  show(parts: readonly JobPart__Output[]): void;
  close(): void;
}

function openDisplay({ stderr }: Terminal): Display {
  return sizeOf(stderr) === undefined || process.env["TERM"] === "dumb"
    ? lineDisplay(stderr)
    : liveDisplay(stderr);
}

/** A line whenever a part's transfer begins or has come to its end. */
function lineDisplay(stream: NodeJS.WriteStream): Display {
  const shown = new Map<string, string>();
  return {
    show: (parts) => {
      for (const part of parts) {
        if (part.stage === "waiting" || shown.get(part.name) === part.stage) continue;
        shown.set(part.name, part.stage);
        stream.write(`${partLine(part)}\n`);
      }
    },
    close: () => undefined,
  };
}

const up = (lines: number): string => `\u001b[${lines}A`;
const clearBelow = "\u001b[J";
const usualSize = { rows: 24, cols: 80 };

/** The parts in place, as many as the terminal has room for; they are gone at the end. */
function liveDisplay(stream: NodeJS.WriteStream): Display {
  let drawn = 0;
  const erase = (): string => (drawn === 0 ? "" : `${up(drawn)}\r${clearBelow}`);
  return {
    show: (parts) => {
      // A terminal that nobody has given a size says 0.
      const rows = sizeOf(stream)?.rows || usualSize.rows;
      const cols = sizeOf(stream)?.cols || usualSize.cols;
      const lines = fit(parts, Math.max(1, rows - 2)).map((line) => line.slice(0, Math.max(1, cols - 1)));
      stream.write(`${erase()}${lines.map((line) => `${line}\n`).join("")}`);
      drawn = lines.length;
    },
    close: () => {
      stream.write(erase());
      drawn = 0;
    },
  };
}

const movingFirst = ["transferring", "finishing", "waiting"];

/** What moves comes first where not all have room. */
function fit(parts: readonly JobPart__Output[], room: number): readonly string[] {
  if (parts.length <= room) return parts.map(partLine);
  const rank = ({ stage }: JobPart__Output): number =>
    movingFirst.includes(stage) ? movingFirst.indexOf(stage) : movingFirst.length;
  const chosen = [...parts].sort((a, b) => rank(a) - rank(b)).slice(0, room - 1);
  return [...chosen.map(partLine), `and ${parts.length - chosen.length} more`];
}

const nameWidth = 19;
const stageWidth = 12;

/** `sha256:0123456789ab transferring  12.3 MB of 45.6 MB  27%  3.40 MB/s  mirror.example`. */
export function partLine(part: JobPart__Output): string {
  const total = Number(part.total_bytes);
  const done = Number(part.done_bytes);
  const cells = [printable(part.name).slice(0, nameWidth), printable(part.stage).padEnd(stageWidth)];
  if (part.stage === "transferring") {
    const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
    cells.push(`${size(done)} of ${size(total)}`, `${percent}%`, `${size(Number(part.bytes_per_second))}/s`);
  } else {
    cells.push(size(total));
  }
  if (part.peer !== "") cells.push(printable(part.peer));
  return cells.join("  ");
}
