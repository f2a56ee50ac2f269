/** Values that belong to a log line; a secret is never among them. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** What the rest of the project knows of logging; src/logging.ts makes one with winston. */
export interface Logger {
  readonly debug: (message: string, fields?: LogFields) => void;
  readonly info: (message: string, fields?: LogFields) => void;
  readonly warn: (message: string, fields?: LogFields) => void;
  readonly error: (message: string, fields?: LogFields) => void;
}

/** Drops everything; for tests and for code that has no reader. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
