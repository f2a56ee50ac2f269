import { status, type ServiceError } from "@grpc/grpc-js";
import { asRuntimeError, type ErrorCode } from "../core/errors.ts";

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
