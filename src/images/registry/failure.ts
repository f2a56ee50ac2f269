import { RuntimeError, type ErrorCode } from "../../core/errors.ts";
import type { AskedToWait } from "./retry.ts";

/** The kubelet recognises this at the beginning of the message and reports the registry, not the image. */
const unavailableSentinel = "RegistryUnavailable";

const codes: Readonly<Record<number, ErrorCode>> = {
  400: "invalid-argument",
  401: "unauthenticated",
  403: "permission-denied",
  404: "not-found",
};

const meanings: Readonly<Record<number, string>> = {
  401: "authentication is required or was refused",
  403: "access is denied",
  404: "not found",
  429: "too many requests",
};

/** Turns an answer that is no success into the error the caller sees; `detail` is the registry's own words. */
export function statusError(
  what: string,
  host: string,
  status: number,
  detail: string,
  cause?: AskedToWait,
): RuntimeError {
  const gateway = status >= 502 && status <= 504;
  const code =
    codes[status] ??
    (status === 408 || status === 429 || status >= 500 ? "unavailable" : "failed-precondition");
  const meaning = meanings[status];
  const text = `${what}: ${host} answered ${status}${meaning ? ` (${meaning})` : ""}${detail ? `: ${detail}` : ""}`;
  return new RuntimeError(code, gateway ? `${unavailableSentinel}: ${text}` : text, cause && { cause });
}

/** The error for a registry that does not answer at all. */
export function unreachable(what: string, host: string, cause: unknown): RuntimeError {
  return new RuntimeError(
    "unavailable",
    `${unavailableSentinel}: ${what}: cannot reach ${host}: ${reason(cause)}`,
    {
      cause,
    },
  );
}

/** The first words of the registry's JSON errors, or of its text, on one line. */
export function describeBody(body: string): string {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] };
    const first = errors?.[0];
    if (first !== undefined)
      return clip([first.code, first.message].filter((part) => typeof part === "string").join(": "));
  } catch {
    // Not the distribution spec's form: shown as it is.
  }
  return body.trimStart().startsWith("<") ? "" : clip(body);
}

/** A server's text must not put control characters into a log. */
function clip(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, 300);
}

/** Says what went wrong on the wire; undici hides the reason in `cause`, and in `errors` for several addresses. */
export function reason(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return reason(thrown.errors[0]);
  if (thrown.cause instanceof Error) return reason(thrown.cause);
  return thrown.message;
}

/** The error of work that its caller gave up. */
export function aborted(what: string, cause: unknown): RuntimeError {
  return new RuntimeError("aborted", `${what}: cancelled (${reason(cause)})`, { cause });
}
