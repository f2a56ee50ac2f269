import { Readable } from "node:stream";

/** A body that is sent as it is read; opened anew for every try. */
export interface UploadBody {
  readonly sizeBytes: number;
  open(): AsyncIterable<Uint8Array>;
}

/** How long a server may take for an upload. */
export interface UploadLimits {
  /** For the next piece of the body. */
  readonly stallTimeoutMs: number;
  /** For its answer once it has all of it: it may hash or move the whole blob first. */
  readonly answerTimeoutMs: number;
}

/** A server that takes no more of a body, or does not answer after it. */
export class UploadStall extends Error {
  override readonly name = "UploadStall";
}

/** Bytes of a body after which its progress is looked at. */
const pieceBytes = 64 * 1024;

/**
 * Runs a request with a streamed body, and ends it when the server stalls; the time that the body's own source takes
 * does not count. Throws what the source throws, or {@link UploadStall}.
 */
export async function sendWatched<T>(
  body: UploadBody,
  limits: UploadLimits,
  signal: AbortSignal,
  run: (stream: Readable, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stalled = new AbortController();
  const failed: { thrown?: unknown } = {};
  let timer: NodeJS.Timeout | undefined;
  const expect = (what: string, limitMs: number): void => {
    timer = setTimeout(() => {
      stalled.abort(new UploadStall(`it ${what} for ${limitMs / 1000} s`));
    }, limitMs);
  };
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of body.open()) {
        for (let at = 0; at < chunk.length; at += pieceBytes) {
          expect("took no byte", limits.stallTimeoutMs);
          yield chunk.subarray(at, at + pieceBytes);
          clearTimeout(timer);
        }
      }
      expect("did not answer", limits.answerTimeoutMs);
    } catch (thrown) {
      failed.thrown = thrown;
      throw thrown;
    }
  };
  try {
    return await run(Readable.from(pieces()), AbortSignal.any([signal, stalled.signal]));
  } catch (thrown) {
    throw failed.thrown ?? thrown;
  } finally {
    clearTimeout(timer);
  }
}
