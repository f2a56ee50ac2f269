import { open } from "node:fs/promises";
import { hasCode, RuntimeError } from "../../core/errors.ts";
import type { Client } from "../client.ts";
import type { Context } from "../command.ts";
import { write } from "../terminal.ts";
import { follow, readToEnd } from "./follow.ts";
import { LineSplitter } from "./lines.ts";
import { parseRecord } from "./record.ts";
import { offsetOfLastLines } from "./tail.ts";

/** How much of a log is printed and how. */
export interface LogOptions {
  readonly follow: boolean;
  /** Lines; all where absent. */
  readonly tail?: number | undefined;
  readonly timestamps: boolean;
}

/** How often the daemon is asked whether a quiet container still runs. */
const askMs = 300;

/** Prints a container's log file, with `follow` until the container has ended. */
export async function printLog(
  context: Context,
  containerId: string,
  path: string,
  options: LogOptions,
): Promise<void> {
  const offset = await startOf(path, options.tail);
  const printer = new LogPrinter(context, options.timestamps);
  const splitter = new LineSplitter();
  const bytes = options.follow
    ? follow(path, { offset, ended: endWatch(context.client, containerId), signal: context.signal })
    : readFrom(path, offset);
  for await (const chunk of bytes) {
    for (const line of splitter.push(chunk)) await printer.print(line);
  }
  const rest = splitter.finish();
  if (rest.length > 0) await printer.print(rest);
}

async function startOf(path: string, tail: number | undefined): Promise<number> {
  try {
    await using file = await open(path, "r");
    return tail === undefined ? 0 : await offsetOfLastLines(file, tail);
  } catch (thrown) {
    throw new RuntimeError("not-found", `cannot read the log ${path}: ${(thrown as Error).message}`);
  }
}

async function* readFrom(path: string, offset: number): AsyncGenerator<Buffer> {
  await using file = await open(path, "r");
  yield* readToEnd(file, offset);
}

/** Answers whether the container has ended, asking the daemon now and then. */
function endWatch(client: Client, containerId: string): () => Promise<boolean> {
  let asked = 0;
  return async () => {
    if (Date.now() - asked < askMs) return false;
    asked = Date.now();
    try {
      const { status } = await client.runtime.ContainerStatus({ container_id: containerId });
      return status === null || status.state === "CONTAINER_EXITED" || status.state === "CONTAINER_UNKNOWN";
    } catch (thrown) {
      if (hasCode(thrown, "not-found")) return true;
      throw thrown;
    }
  };
}

class LogPrinter {
  readonly #context: Context;
  readonly #timestamps: boolean;
  /** Streams whose last record was a part of a line. */
  readonly #unfinished = new Set<string>();

  constructor(context: Context, timestamps: boolean) {
    this.#context = context;
    this.#timestamps = timestamps;
  }

  async print(line: Buffer): Promise<void> {
    const { terminal, format, signal } = this.#context;
    const record = parseRecord(line);
    if (format === "json") {
      const { time = "", stream = "stdout", partial = false, content = line } = record ?? {};
      const text = JSON.stringify({ time, stream, partial, text: content.toString() });
      await write(terminal.stdout, `${text}\n`, signal);
      return;
    }
    if (record === undefined) {
      await write(terminal.stdout, Buffer.concat([line, Buffer.from("\n")]), signal);
      return;
    }
    const { stream, time, partial, content } = record;
    const head = this.#timestamps && !this.#unfinished.has(stream) ? `${time} ` : "";
    if (partial) this.#unfinished.add(stream);
    else this.#unfinished.delete(stream);
    const text = Buffer.concat([Buffer.from(head), content, Buffer.from(partial ? "" : "\n")]);
    await write(terminal[stream], text, signal);
  }
}
