/**
 * The closed list of ways in which a request can fail. Each is one gRPC code; the numbers live in src/cri alone.
 */
export type ErrorCode =
  | "invalid-argument"
  | "not-found"
  | "already-exists"
  | "failed-precondition"
  | "permission-denied"
  | "unauthenticated"
  | "resource-exhausted"
  | "deadline-exceeded"
  | "unavailable"
  | "aborted"
  | "unimplemented"
  | "internal";

/**
 * The one error type that crosses a folder's border. The message is lower case and names the thing (id, path, host).
 */
export class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Turns whatever was thrown into a RuntimeError; a foreign error becomes `internal` and stays as the cause. */
export function asRuntimeError(thrown: unknown): RuntimeError {
  if (thrown instanceof RuntimeError) return thrown;
  if (thrown instanceof SuppressedError) {
    // What was being done failed, and then its undoing: the first is what the caller asked about.
    const first = asRuntimeError(thrown.suppressed);
    const second = asRuntimeError(thrown.error);
    return new RuntimeError(first.code, `${first.message}; undoing it: ${second.message}`, { cause: thrown });
  }
  if (thrown instanceof Error && thrown.name === "AbortError") {
    return new RuntimeError("aborted", thrown.message, { cause: thrown });
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new RuntimeError("internal", message, { cause: thrown });
}

/** True where `thrown` is a RuntimeError of the given code. */
export function hasCode(thrown: unknown, code: ErrorCode): thrown is RuntimeError {
  return thrown instanceof RuntimeError && thrown.code === code;
}
