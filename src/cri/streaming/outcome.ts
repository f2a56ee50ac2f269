/** How an exec or an attach ended, as the client is told. */
export type Outcome =
  | { readonly kind: "success" }
  | { readonly kind: "exited"; readonly exitCode: number }
  | { readonly kind: "failed"; readonly message: string };

/** How a protocol version writes the outcome: a metav1.Status from v4 on, words before. */
export type OutcomeFormat = "status" | "text";

/** The bytes of the error stream; undefined where success is told by silence. */
export function encodeOutcome(outcome: Outcome, format: OutcomeFormat): Buffer | undefined {
  if (format === "status") return Buffer.from(JSON.stringify(statusOf(outcome)));
  return outcome.kind === "success" ? undefined : Buffer.from(messageOf(outcome));
}

function messageOf(outcome: Exclude<Outcome, { kind: "success" }>): string {
  return outcome.kind === "exited"
    ? `command terminated with non-zero exit code: exit code ${outcome.exitCode}`
    : `Internal error occurred: ${outcome.message}`;
}

/** As metav1.Status of Kubernetes: `reason` NonZeroExitCode with the code as a cause is what clients look for. */
function statusOf(outcome: Outcome): Readonly<Record<string, unknown>> {
  switch (outcome.kind) {
    case "success":
      return { metadata: {}, status: "Success" };
    case "exited":
      return {
        metadata: {},
        status: "Failure",
        message: messageOf(outcome),
        reason: "NonZeroExitCode",
        details: { causes: [{ reason: "ExitCode", message: String(outcome.exitCode) }] },
      };
    case "failed":
      return {
        metadata: {},
        status: "Failure",
        message: messageOf(outcome),
        reason: "InternalError",
        details: { causes: [{ message: outcome.message }] },
        code: 500,
      };
  }
}
