/**
 * Loaded into a daemon with `--import`: appends the beginning and end of every job's stage to a file, and kills the
 * daemon on the spot, as a power cut would, at the one that another file names. The daemon itself knows nothing of it.
 */
import { appendFileSync, readFileSync } from "node:fs";
import type { JobJournal, JobRequest, ReportingJob } from "../../src/store/index.ts";

const folder = process.env["BERTH_TEST_STAGES"] ?? "";
const store = new URL("../../dist/store/index.js", import.meta.url).href;
const { prototype } = ((await import(store)) as { JobJournal: typeof JobJournal }).JobJournal;
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the journal as `this` below
const { run } = prototype;

function pass(mark: string): void {
  if (readFileSync(`${folder}/die-at`, "utf8") === mark) process.kill(process.pid, "SIGKILL");
  appendFileSync(`${folder}/stages`, `${mark}\n`);
}

prototype.run = function <T>(
  this: JobJournal,
  request: JobRequest,
  signal: AbortSignal,
  work: (job: ReportingJob) => Promise<T>,
): Promise<T> {
  return run.call(this, request, signal, (job: ReportingJob) =>
    work({
      ...job,
      stage: async (name, stage) => {
        pass(`${request.kind}: ${name} begins`);
        const result = await job.stage(name, stage);
        pass(`${request.kind}: ${name} ended`);
        return result;
      },
    }),
  ) as Promise<T>;
};
