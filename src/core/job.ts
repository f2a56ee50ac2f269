/**
 * One request at work, as domain code sees it: it names its stages and keeps what a person would want to read later.
 */
export interface Job {
  readonly id: string;
  /** Aborts when the job is cancelled; a caller that went away does not abort it (src/sandbox decides that). */
  readonly signal: AbortSignal;
  /** Runs `work` as a named stage whose time, and error if it throws, is kept. */
  stage<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Keeps a line of text with the current stage, such as a plugin's output; cut at `maxJobNoteBytes`. */
  note(text: string): void;
}

/** How far one part of a job is, such as a layer of a pull. */
export interface PartProgress {
  /** Such as the digest of a layer. */
  readonly name: string;
  /** What it waits for or does, in a word. */
  readonly stage: string;
  /** The host that sends or takes it; empty where there is none, or none yet. */
  readonly peer: string;
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Since its transfer began; 0 before. */
  readonly bytesPerSecond: number;
}
