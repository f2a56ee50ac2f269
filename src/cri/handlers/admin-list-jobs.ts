import type { JobJournal, JobRecord } from "../../store/index.ts";
import { invalid } from "../convert/fields.ts";
import type { Job } from "../types/berth/v1/Job.ts";
import type { ListJobsRequest__Output } from "../types/berth/v1/ListJobsRequest.ts";
import type { ListJobsResponse } from "../types/berth/v1/ListJobsResponse.ts";
import type { UnaryHandler } from "../unary.ts";

/** Jobs that are listed where the request names no number. */
const defaultLimit = 100;

/** Lists requests that run or have run, newest first. */
export function listJobs(jobs: JobJournal): UnaryHandler<ListJobsRequest__Output, ListJobsResponse> {
  return (request) => {
    if (request.limit < 0) invalid("limit", `${request.limit} is negative`);
    const selected = jobs
      .list()
      .filter(
        (job) =>
          (!request.active_only || job.state === "running") &&
          (request.kind === "" || job.kind === request.kind) &&
          (request.subject === "" || job.subject.includes(request.subject)),
      );
    return { jobs: selected.slice(0, request.limit === 0 ? defaultLimit : request.limit).map(jobToProto) };
  };
}

function jobToProto(job: JobRecord): Job {
  return {
    id: job.id,
    kind: job.kind,
    subject: job.subject,
    arguments: job.arguments,
    state: job.state,
    started_at: String(job.startedAt),
    ended_at: String(job.endedAt ?? 0n),
    stages: job.stages.map((stage) => ({
      name: stage.name,
      started_at: String(stage.startedAt),
      duration_ns: String(stage.durationNs ?? 0n),
      detail: [...stage.notes, ...(stage.error === undefined ? [] : [stage.error])].join("\n"),
    })),
    result: job.result,
    error: job.error,
    parts: (job.progress ?? []).map((part) => ({
      name: part.name,
      stage: part.stage,
      peer: part.peer,
      done_bytes: String(part.doneBytes),
      total_bytes: String(part.totalBytes),
      bytes_per_second: String(part.bytesPerSecond),
    })),
  };
}
