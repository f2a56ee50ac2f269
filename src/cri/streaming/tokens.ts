import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { RuntimeError } from "../../core/errors.ts";
import { maxOutstandingTokens, tokenLifetimeMs } from "./limits.ts";

/** 128 bits: nobody guesses one within its minute. */
const tokenBytes = 16;

interface Entry<Request> {
  readonly token: Buffer;
  readonly request: Request;
  /** Milliseconds of the clock given. */
  readonly expiresAt: number;
}

/** Requests that wait for their client, each behind a token that opens it once and for a minute. */
export class Tokens<Request> {
  /** By a digest of the token, so that looking one up tells nothing of the others; the oldest first. */
  readonly #entries = new Map<string, Entry<Request>>();
  readonly #now: () => number;

  /** `now` is a clock in milliseconds that never goes back. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many wait, expired ones included that were not yet swept. */
  get size(): number {
    return this.#entries.size;
  }

  /** Keeps a request and gives its token; `resource-exhausted` where too many wait. */
  issue(request: Request): string {
    this.#sweep();
    if (this.#entries.size >= maxOutstandingTokens) {
      throw new RuntimeError(
        "resource-exhausted",
        `${maxOutstandingTokens} streaming requests wait for their clients`,
      );
    }
    const token = randomBytes(tokenBytes);
    const text = token.toString("base64url");
    this.#entries.set(keyOf(text), {
      token: Buffer.from(text),
      request,
      expiresAt: this.#now() + tokenLifetimeMs,
    });
    return text;
  }

  /** Takes the request behind a token; undefined for an unknown, used or expired one. */
  redeem(text: string): Request | undefined {
    this.#sweep();
    const key = keyOf(text);
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const given = Buffer.from(text);
    if (given.length !== entry.token.length || !timingSafeEqual(given, entry.token)) return undefined;
    this.#entries.delete(key);
    return entry.request;
  }

  /** All live equally long, so the expired ones are at the front. */
  #sweep(): void {
    const now = this.#now();
    for (const [key, entry] of this.#entries) {
      if (entry.expiresAt > now) return;
      this.#entries.delete(key);
    }
  }
}

function keyOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
