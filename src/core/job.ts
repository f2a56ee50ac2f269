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
