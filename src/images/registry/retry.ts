import { setTimeout as sleep } from "node:timers/promises";

/** Tries of one request before its failure is final. */
export const maxAttempts = 4;
const firstDelayMs = 250;
/** A longer Retry-After is not waited for. */
const maxRetryAfterMs = 60_000;

/** How long to wait before try number `attempt` + 1: doubling, with a random half so that clients spread out. */
export function backoffMs(attempt: number, random: number): number {
  const full = firstDelayMs * 2 ** (attempt - 1);
  return full / 2 + (full / 2) * random;
}

/**
 * Milliseconds that a Retry-After header asks for (RFC 9110 10.2.3: seconds or a date); undefined without one, `never`
 * where it asks for more than is waited.
 */
export function retryAfterMs(
  header: string | string[] | undefined,
  nowMs: number,
): number | undefined | "never" {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const delay = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  if (Number.isNaN(delay)) return undefined;
  return delay > maxRetryAfterMs ? "never" : Math.max(0, delay);
}

/** The cause of a failure with which a server asked to be left alone for a time. */
export class AskedToWait extends Error {
  override readonly name = "AskedToWait";
  readonly delayMs: number | "never";

  constructor(delayMs: number | "never") {
    super(
      delayMs === "never"
        ? "the server asks for more time than is waited"
        : `the server asks for ${delayMs} ms`,
    );
    this.delayMs = delayMs;
  }
}

/** Waits; rejects with the signal's reason when it aborts. */
export async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal });
}

const transient = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
  "UND_ERR_SOCKET",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_RES_CONTENT_LENGTH_MISMATCH",
]);

/** True for failures of the connection that may pass; a silent server was waited for long enough already. */
export function isTransient(thrown: unknown): boolean {
  if (!(thrown instanceof Error)) return false;
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code !== undefined && transient.has(code)) return true;
  if (thrown instanceof AggregateError) return thrown.errors.some(isTransient);
  return isTransient(thrown.cause);
}

/** True where no connection came about within its time. */
export function isConnectTimeout(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === "UND_ERR_CONNECT_TIMEOUT";
}
