import { randomBytes } from "node:crypto";
import { once } from "node:events";
import type { ServerWritableStream } from "@grpc/grpc-js";
import { asRuntimeError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import { serviceError } from "./errors.ts";
import type { ArchivePiece } from "./types/berth/v1/ArchivePiece.ts";
import { callSignal, type Call } from "./unary.ts";

/** Bytes of one message at most. */
const maxPieceBytes = 1024 * 1024;

/** Produces bytes at the pace at which `sink` resolves. */
export type ByteHandler<Request> = (
  request: Request,
  sink: (bytes: Uint8Array) => Promise<void>,
  call: Call,
) => Promise<void>;

/** Serves bytes as a stream of pieces; a stream that ends without an error is complete. */
export function byteStream<Request>(
  name: string,
  logger: Logger,
  handler: ByteHandler<Request>,
): (call: ServerWritableStream<Request, ArchivePiece>) => void {
  return (call) => {
    const id = randomBytes(4).toString("hex");
    const signal = callSignal(call);
    let bytes = 0;
    const sink = async (chunk: Uint8Array): Promise<void> => {
      for (let at = 0; at < chunk.length; at += maxPieceBytes) {
        signal.throwIfAborted();
        const data = Buffer.from(chunk.subarray(at, at + maxPieceBytes));
        if (!call.write({ data })) await once(call, "drain", { signal });
      }
      bytes += chunk.length;
    };
    handler(call.request, sink, { signal }).then(
      () => {
        logger.info(name, { request: id, bytes, result: "ok" });
        call.end();
      },
      (thrown: unknown) => {
        const error = asRuntimeError(thrown);
        logger.warn(name, { request: id, bytes, result: error.code, error: error.message });
        // Nobody listens any more.
        if (!signal.aborted) call.emit("error", serviceError(error));
      },
    );
  };
}
