import type { ShimFailure } from "../protocol/messages.ts";

/** What is thrown in this program: an answer to the client. */
export interface Failure extends ShimFailure {
  readonly failure: true;
}

/** A failure that is not a system call's. */
export function failure(code: ShimFailure["code"], message: string): Failure {
  return { failure: true, code, message };
}
