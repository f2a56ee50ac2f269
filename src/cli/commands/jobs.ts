import { RuntimeError } from "../../core/errors.ts";
import type { Job__Output } from "../../cri/types/berth/v1/Job.ts";
import type { JobPart__Output } from "../../cri/types/berth/v1/JobPart.ts";
import { defineCommand } from "../command.ts";
import { age, duration, shortId, size, time } from "../format.ts";
import { print, printList } from "../print.ts";
import { partLine } from "../progress.ts";
import { fields, printable } from "../table.ts";

/** Lines that fit a screen. */
const defaultLimit = 20;

/** How far back a job is looked for by its id. */
const searchLimit = 10_000;

export const jobs = defineCommand({
  name: "jobs",
  usage: "[JOB]",
  summary: "List requests that run or have run, or show one with its stages.",
  details: [
    "A job that is running tells in its last stage what it waits for, and in its parts how far each layer is. One that was aborted ran when the daemon ended.",
  ],
  options: {
    active: { kind: "flag", short: "a", doc: "Only jobs that are running." },
    failed: { kind: "flag", short: "f", doc: "Only jobs that failed or were aborted." },
    kind: {
      kind: "text",
      short: "k",
      placeholder: "RPC",
      doc: "Only jobs of this kind, such as RunPodSandbox.",
    },
    subject: {
      kind: "text",
      short: "s",
      placeholder: "TEXT",
      doc: "Only jobs on this pod, container or image.",
    },
    limit: {
      kind: "whole",
      short: "n",
      placeholder: "N",
      least: 1,
      doc: `At most so many. [${defaultLimit}]`,
    },
  },
  words: { least: 0, most: 1 },
  run: async (context, options, [id]) => {
    const { client, now } = context;
    if (id !== undefined) {
      const { jobs: all } = await client.admin.ListJobs({ limit: searchLimit });
      print(context, pickJob(all, id), (job) => describe(job, now()));
      return 0;
    }
    const limit = options.limit ?? defaultLimit;
    const { jobs: found } = await client.admin.ListJobs({
      active_only: options.active,
      kind: options.kind ?? "",
      subject: options.subject ?? "",
      limit: options.failed ? searchLimit : limit,
    });
    const shown = options.failed ? found.filter(hasFailed).slice(0, limit) : found;
    printList(context, shown, ["JOB", "KIND", "SUBJECT", "STATE", "TOOK", "AGE", ""], (job) => [
      job.id,
      job.kind,
      shortSubject(job.subject),
      job.state,
      took(job, now()),
      age(job.started_at, now()),
      lastWords(job),
    ]);
    return 0;
  },
});

function hasFailed(job: Job__Output): boolean {
  return job.state === "failed" || job.state === "aborted";
}

/** The job with this id or unique end or start of one: ids begin alike, for they sort by time. */
function pickJob(all: readonly Job__Output[], id: string): Job__Output {
  const matches = all.filter((job) => job.id === id || job.id.startsWith(id) || job.id.endsWith(id));
  const [match] = matches;
  if (match === undefined) throw new RuntimeError("not-found", `no job ${JSON.stringify(id)}`);
  if (matches.length > 1) {
    throw new RuntimeError("invalid-argument", `job ${id} may be any of ${matches.length}`);
  }
  return match;
}

function took(job: Job__Output, now: number): string {
  const end = job.ended_at === "0" ? BigInt(now) * 1_000_000n : BigInt(job.ended_at);
  const elapsed = end - BigInt(job.started_at);
  return duration(elapsed < 0n ? 0n : elapsed);
}

/** Why it failed, or what it is doing. */
function lastWords(job: Job__Output): string {
  if (job.error !== "") return job.error;
  const stage = job.stages.at(-1);
  if (job.state !== "running" || stage === undefined) return " ";
  return [`at ${stage.name}`, ...transferred(job.parts)].join(", ");
}

/** All parts together; nothing where none is to be transferred. */
function transferred(parts: readonly JobPart__Output[]): readonly string[] {
  const moving = parts.filter(({ stage }) => stage !== "ready");
  if (moving.length === 0) return [];
  const sum = (of: (part: JobPart__Output) => string): number =>
    moving.reduce((total, part) => total + Number(of(part)), 0);
  return [`${size(sum((part) => part.done_bytes))} of ${size(sum((part) => part.total_bytes))}`];
}

function shortSubject(subject: string): string {
  return /^[0-9a-f]{64}$/.test(subject) ? shortId(subject) : subject;
}

function describe(job: Job__Output, now: number): string {
  const stages = job.stages.flatMap((stage) => {
    const { duration_ns, name, detail } = stage;
    const line = `  ${name.padEnd(16)}  ${duration_ns === "0" ? "running" : duration(BigInt(duration_ns))}`;
    return [
      line,
      ...detail
        .split("\n")
        .filter((text) => text !== "")
        .map((text) => `      ${printable(text)}`),
    ];
  });
  return [
    fields([
      ["job", job.id],
      ["kind", job.kind],
      ["subject", job.subject],
      ...Object.entries(job.arguments),
      ["state", job.state],
      ["started", time(job.started_at)],
      ["took", took(job, now)],
      ...(job.result === "" ? [] : [["result", job.result] as const]),
      ...(job.error === "" ? [] : [["error", job.error] as const]),
    ]),
    ...(stages.length === 0 ? [] : ["", "stages", ...stages]),
    ...(job.parts.length === 0 ? [] : ["", "parts", ...job.parts.map((part) => `  ${partLine(part)}`)]),
  ].join("\n");
}
