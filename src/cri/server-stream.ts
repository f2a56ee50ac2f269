import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { asRuntimeError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { serviceError } from "./errors.ts";
import { callSignal, type Call } from "./unary.ts";

/** Items in one message of a streamed list. */
export const maxItemsPerMessage = 500;

/** Bytes in one message of a streamed list, as far as texts make them: far below the 16 MiB that clients accept. */
export const maxBytesPerMessage = 2 * 1024 * 1024;

/** Gives the items of a list, one by one. */
export type StreamHandler<Request, Item> = (
  request: Request,
  call: Call,
) => Iterable<Item> | AsyncIterable<Item>;

/**
 * Serves a list as a stream of parts, each with at least one item; the end of the stream says that the list is
 * complete. Items are asked for as the client reads, and no more once it has gone.
 */
export function serverStream<Request, Item, Response>(
  name: string,
  logger: Logger,
  handler: StreamHandler<Request, Item>,
  message: (items: Item[]) => Response,
): (call: ServerWritableStream<Request, Response>) => void {
  return (call) => {
    const id = randomBytes(4).toString("hex");
    const signal = callSignal(call);
    const send = async (): Promise<number> => {
      let sent = 0;
      for await (const items of chunks(handler(call.request, { signal }))) {
        signal.throwIfAborted();
        if (!call.write(message(items))) await once(call, "drain", { signal });
        sent += items.length;
      }
      return sent;
    };
    send().then(
      (items) => {
        logger.debug(name, { request: id, items, result: "ok" });
        call.end();
      },
      (thrown: unknown) => {
        // Nobody listens any more.
        if (signal.aborted) return;
        const error = asRuntimeError(thrown);
        logger.warn(name, { request: id, result: error.code, error: error.message });
        call.emit("error", serviceError(error));
      },
    );
  };
}

/** All items of a list, for those calls that answer with it whole. */
export async function collect<Item>(items: Iterable<Item> | AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Puts items together up to the limits of a message; an item that is larger than a message is one by itself. */
export async function* chunks<Item>(items: Iterable<Item> | AsyncIterable<Item>): AsyncGenerator<Item[]> {
  let chunk: Item[] = [];
  let bytes = 0;
  for await (const item of items) {
    const size = textBytes(item);
    if (chunk.length > 0 && (chunk.length === maxItemsPerMessage || bytes + size > maxBytesPerMessage)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

/** Bytes that a field takes besides its text: its tag and length, rounded up. */
const fieldBytes = 8;

/** About what a message takes on the wire: its texts, keys of maps counted too, and a bit for every field. */
function textBytes(value: unknown): number {
  if (typeof value === "string") return Buffer.byteLength(value) + fieldBytes;
  if (Buffer.isBuffer(value)) return value.length;
  if (typeof value !== "object" || value === null) return fieldBytes;
  return Object.entries(value).reduce((sum, [key, inner]) => sum + key.length + textBytes(inner), 0);
}
