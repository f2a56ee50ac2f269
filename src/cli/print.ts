import { RuntimeError } from "../core/errors.ts";
import type { Context } from "./command.ts";
import { table, type Row } from "./table.ts";

/** Prints a value as JSON, or as the lines that `text` makes of it. */
export function print<T>(
  { terminal, format }: Pick<Context, "terminal" | "format">,
  value: T,
  text: (value: T) => string,
): void {
  const shown = format === "json" ? `${JSON.stringify(value, jsonValue, 2)}\n` : text(value);
  if (shown !== "") terminal.stdout.write(shown.endsWith("\n") ? shown : `${shown}\n`);
}

/** Prints a list as a JSON array, or as a table under `head`. */
export function printList<T>(
  context: Pick<Context, "terminal" | "format">,
  items: readonly T[],
  head: Row,
  row: (item: T) => Row,
): void {
  print(context, items, (list) => table(head, list.map(row)));
}

/**
 * Does something to each of several things, whatever becomes of the others; prints what `work` answers, line by line.
 * The exit code is 1 where one of them failed.
 */
export async function forEach(
  context: Pick<Context, "terminal" | "format" | "signal">,
  words: readonly string[],
  work: (word: string) => Promise<string>,
): Promise<number> {
  const done: string[] = [];
  let exitCode = 0;
  for (const word of words) {
    try {
      const line = await work(word);
      done.push(line);
      if (context.format === "text") context.terminal.stdout.write(`${line}\n`);
    } catch (thrown) {
      if (context.signal.aborted) throw thrown;
      printError(context, thrown);
      exitCode = 1;
    }
  }
  if (context.format === "json") print(context, done, () => "");
  return exitCode;
}

/** One line on standard error, or one JSON object; never a stack trace. */
export function printError(
  { terminal, format }: Pick<Context, "terminal" | "format">,
  thrown: unknown,
): void {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const code = thrown instanceof RuntimeError ? thrown.code : "internal";
  const shown = format === "json" ? JSON.stringify({ error: { code, message } }) : `berth: ${message}`;
  terminal.stderr.write(`${shown}\n`);
}

/** Bytes are shown as base64, as protobuf's own JSON has them. */
function jsonValue(_key: string, value: unknown): unknown {
  return isSerializedBuffer(value) ? Buffer.from(value.data).toString("base64") : value;
}

function isSerializedBuffer(value: unknown): value is { readonly data: readonly number[] } {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    value.type === "Buffer" &&
    "data" in value &&
    Array.isArray(value.data)
  );
}
