import { idleTimeoutMs, lingerMs, probeIntervalMs, streamCreationTimeoutMs } from "./limits.ts";

/** The times of a connection, in milliseconds; shorter ones are for tests. */
export interface ConnectionTiming {
  readonly streamCreationTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly lingerMs: number;
  readonly probeIntervalMs: number;
}

/** The times in force. */
export const defaultTiming: ConnectionTiming = {
  streamCreationTimeoutMs,
  idleTimeoutMs,
  lingerMs,
  probeIntervalMs,
};
