import { status, type ServiceError } from "@grpc/grpc-js";
import { asRuntimeError, RuntimeError, type ErrorCode } from "../core/errors.ts";

/** The one place that knows gRPC's numbers. */
const grpcCodes: Readonly<Record<ErrorCode, status>> = {
  "invalid-argument": status.INVALID_ARGUMENT,
  "not-found": status.NOT_FOUND,
  "already-exists": status.ALREADY_EXISTS,
  "failed-precondition": status.FAILED_PRECONDITION,
  "permission-denied": status.PERMISSION_DENIED,
  unauthenticated: status.UNAUTHENTICATED,
  "resource-exhausted": status.RESOURCE_EXHAUSTED,
  "deadline-exceeded": status.DEADLINE_EXCEEDED,
  unavailable: status.UNAVAILABLE,
  aborted: status.ABORTED,
  unimplemented: status.UNIMPLEMENTED,
  internal: status.INTERNAL,
};

/** What a client gets for whatever a handler threw. */
export function serviceError(thrown: unknown): Pick<ServiceError, "code" | "details"> {
  const error = asRuntimeError(thrown);
  return { code: grpcCodes[error.code], details: error.message };
}

/** The way back, in a client: what a call failed with, as the error that the daemon threw. */
export function runtimeErrorFrom(thrown: unknown): RuntimeError {
  if (!isServiceError(thrown)) return asRuntimeError(thrown);
  if (thrown.code === status.CANCELLED) return new RuntimeError("aborted", thrown.details, { cause: thrown });
  const code = (Object.keys(grpcCodes) as ErrorCode[]).find((name) => grpcCodes[name] === thrown.code);
  return new RuntimeError(code ?? "internal", thrown.details, { cause: thrown });
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && "code" in thrown && "details" in thrown;
}
