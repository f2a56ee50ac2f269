import assert from "node:assert/strict";
import { test } from "node:test";
import type { JobRecord } from "../store/index.ts";
import { jobsAbout, runningJobs } from "./job-summaries.ts";

const second = 1_000_000_000n;

function record(change: Partial<JobRecord>): JobRecord {
  return {
    id: "1",
    kind: "StartContainer",
    subject: "abc",
    arguments: {},
    state: "running",
    startedAt: 10n * second,
    stages: [],
    result: "",
    error: "",
    ...change,
  };
}

test("job summaries: one that runs has the stage it is in and its age", () => {
  const stages = [
    { name: "files", startedAt: 0n, durationNs: 1n, notes: [] },
    { name: "network", startedAt: 0n, notes: [] },
    { name: "cni bridge ADD", startedAt: 0n, durationNs: 1n, notes: [] },
  ];
  const ended = record({ state: "done", endedAt: 11n * second });
  const [summary, ...others] = runningJobs([ended, record({ stages })], (25n * second) / 2n);
  assert.deepEqual(others, []);
  assert.equal(summary?.stage, "network");
  assert.equal(summary.seconds, 2.5);
});

test("job summaries: one that ended has its last stage, its time and its error", () => {
  const stages = [{ name: "execve", startedAt: 0n, durationNs: 1n, notes: [], error: "no such file" }];
  const failed = record({ state: "failed", stages, endedAt: 13n * second, error: "no such file" });
  assert.deepEqual(jobsAbout([failed], ["abc"], 99n * second), [
    {
      id: "1",
      kind: "StartContainer",
      subject: "abc",
      state: "failed",
      stage: "execve",
      seconds: 3,
      error: "no such file",
    },
  ]);
});

test("job summaries: those about a thing by its id or its name, the latest alone", () => {
  const jobs = [
    record({ id: "3", subject: "other" }),
    record({ id: "2", subject: "main (attempt 0) in pod p" }),
    ...Array.from({ length: 20 }, () => record({})),
  ];
  const about = jobsAbout(jobs, ["abc", "main (attempt 0) in pod p"], 0n);
  assert.equal(about.length, 10);
  assert.equal(about[0]?.id, "2");
  assert.deepEqual(jobsAbout(jobs, [], 0n), []);
});
