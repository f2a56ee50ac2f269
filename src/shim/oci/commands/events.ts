import { failure } from "../../program/ffi/error.ts";
import { monotonicMs, sleepMs } from "../../program/ffi/time.ts";
import { orderedJson } from "../pretty.ts";
import type { FoundContainer } from "../container/status.ts";
import { findContainer, initLives, requireStatus } from "../container/status.ts";
import { readStats } from "../container/stats.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

const defaultInterval = "5s";
/** How often it is looked whether the kernel killed for want of memory, and whether the container is still there. */
const lookMs = 100;

/** `events [--stats] [--interval 5s] ID`: what the container uses, and kills for want of memory, a line each. */
export const events: Command = (settings, words) => {
  const options = parseOptions(words, { stats: { kind: "flag" }, interval: { kind: "value" } });
  const intervalMs = durationMs(options.value("interval") ?? defaultInterval);
  const container = findContainer(settings, options.rest[0]);
  requireStatus(container, "show events of", ["created", "running", "paused"]);
  if (options.has("stats")) tellStats(container);
  else follow(container, intervalMs);
  return 0;
};

function follow(container: FoundContainer, intervalMs: number): void {
  let kills = container.cgroup.oomKills();
  let nextStats = monotonicMs() + intervalMs;
  while (initLives(container.record)) {
    sleepMs(Math.min(lookMs, intervalMs));
    const now = container.cgroup.oomKills();
    if (now > kills) tell({ type: "oom", id: container.record.id });
    kills = now;
    if (monotonicMs() < nextStats) continue;
    tellStats(container);
    nextStats = monotonicMs() + intervalMs;
  }
  if (container.cgroup.oomKills() > kills) tell({ type: "oom", id: container.record.id });
}

function tellStats(container: FoundContainer): void {
  tell({ type: "stats", id: container.record.id, data: readStats(container) });
}

function tell(event: object): void {
  io.write(`${orderedJson(event, ["type", "id", "data"])}\n`);
  io.flush();
}

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** `5s`, `100ms`, `1m`. */
function durationMs(text: string): number {
  const [digits, unit] = string.match(text, "^([%d%.]+)(%a+)$");
  const factor = unit === undefined ? undefined : unitsMs[unit];
  const number = tonumber(digits);
  if (number === undefined || factor === undefined || number <= 0) {
    throw failure("invalid-argument", `duration interval must be greater than 0: ${text}`);
  }
  return number * factor;
}
