export { jsonCodec, type Codec } from "./codec.ts";
export { JobJournal, type JobRecord, type JobRequest, type JobStage, type JobState } from "./jobs.ts";
export { openStore, type Durability, type Store, type Table, type Write } from "./store.ts";
