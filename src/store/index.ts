export { jsonCodec, type Codec } from "./codec.ts";
export {
  JobJournal,
  type JobRecord,
  type JobRequest,
  type JobStage,
  type JobState,
  type ReportingJob,
} from "./jobs.ts";
export { openStore, type Durability, type Store, type Table, type Write } from "./store.ts";
