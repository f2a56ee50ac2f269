import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeOutcome, type Outcome } from "./outcome.ts";

const exited: Outcome = { kind: "exited", exitCode: 3 };

const cases: readonly {
  readonly outcome: Outcome;
  readonly status: unknown;
  readonly text: string | undefined;
}[] = [
  { outcome: { kind: "success" }, status: { metadata: {}, status: "Success" }, text: undefined },
  {
    outcome: exited,
    status: {
      metadata: {},
      status: "Failure",
      message: "command terminated with non-zero exit code: exit code 3",
      reason: "NonZeroExitCode",
      details: { causes: [{ reason: "ExitCode", message: "3" }] },
    },
    text: "command terminated with non-zero exit code: exit code 3",
  },
  {
    outcome: { kind: "failed", message: "no such file" },
    status: {
      metadata: {},
      status: "Failure",
      message: "Internal error occurred: no such file",
      reason: "InternalError",
      details: { causes: [{ message: "no such file" }] },
      code: 500,
    },
    text: "Internal error occurred: no such file",
  },
];

for (const { outcome, status, text } of cases) {
  test(`outcome: ${outcome.kind} as a status and as words`, () => {
    assert.deepEqual(JSON.parse(encodeOutcome(outcome, "status")?.toString() ?? "null"), status);
    assert.equal(encodeOutcome(outcome, "text")?.toString(), text);
  });
}
