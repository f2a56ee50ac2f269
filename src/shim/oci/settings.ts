import type { Log } from "./log.ts";

/** What every command knows of its call. */
export interface Settings {
  /** The folder of all containers' records. */
  readonly root: string;
  /** Whether the caller named it. */
  readonly rootIsNamed: boolean;
  readonly log: Log;
  /** The name that the command was called by, for messages. */
  readonly program: string;
  version(this: void): string;
}

/** One command: what follows its name, to its exit status. */
export type Command = (this: void, settings: Settings, words: readonly string[]) => number;
