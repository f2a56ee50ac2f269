import type { JobRecord } from "../store/index.ts";

/** A job in a line, for people who debug what it is about. */
export interface JobSummary {
  readonly id: string;
  readonly kind: string;
  readonly subject: string;
  readonly state: JobRecord["state"];
  /** The stage that it is in, or with which it ended; empty where it has none. */
  readonly stage: string;
  /** Since it began, or until it ended. */
  readonly seconds: number;
  /** Empty where nothing failed. */
  readonly error: string;
}

/** Jobs about one thing that are shown, newest first: what runs, and how it came to be as it is. */
const maxShown = 10;

/** The jobs that run; `now` is in nanoseconds since the epoch. */
export function runningJobs(jobs: readonly JobRecord[], now: bigint): readonly JobSummary[] {
  return jobs.filter(({ state }) => state === "running").map((job) => summarize(job, now));
}

/** The latest jobs whose subject names one of these texts: ids, or names where there was no id yet. */
export function jobsAbout(
  jobs: readonly JobRecord[],
  texts: readonly string[],
  now: bigint,
): readonly JobSummary[] {
  return jobs
    .filter(({ subject }) => texts.some((text) => subject.includes(text)))
    .slice(0, maxShown)
    .map((job) => summarize(job, now));
}

function summarize(job: JobRecord, now: bigint): JobSummary {
  const { id, kind, subject, state, stages, error } = job;
  const current = stages.findLast((stage) => stage.durationNs === undefined) ?? stages.at(-1);
  const milliseconds = ((job.endedAt ?? now) - job.startedAt) / 1_000_000n;
  return {
    id,
    kind,
    subject,
    state,
    stage: current?.name ?? "",
    seconds: Number(milliseconds) / 1000,
    error,
  };
}
