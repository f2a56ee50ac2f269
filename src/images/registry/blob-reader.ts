import { RuntimeError } from "../../core/errors.ts";
import type { KeptBlob } from "../blobs.ts";

/** Hands a blob out part by part; it is opened anew only where a part does not follow the one before. */
export interface BlobReader extends AsyncDisposable {
  /** Bytes from an offset, exactly so many; throws where the blob has fewer. One part is read at a time. */
  take(offset: number, size: number): AsyncIterable<Uint8Array>;
}

export function openBlobReader(blob: KeptBlob): BlobReader {
  const open: { at: number; rest?: Uint8Array; source?: AsyncIterator<Uint8Array>; isWhole: boolean } = {
    at: 0,
    isWhole: true,
  };

  const close = async (): Promise<void> => {
    const { source } = open;
    delete open.source;
    delete open.rest;
    await source?.return?.();
  };

  const seek = async (offset: number): Promise<AsyncIterator<Uint8Array>> => {
    // A part that was given up may still be reading.
    if (open.source !== undefined && open.at === offset && open.isWhole) return open.source;
    await close();
    open.at = offset;
    return (open.source = blob.read(offset)[Symbol.asyncIterator]());
  };

  const next = async (source: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> => {
    const { rest } = open;
    if (rest !== undefined) {
      delete open.rest;
      return rest;
    }
    const result = await source.next();
    return result.done === true ? undefined : result.value;
  };

  return {
    take: async function* (offset, size) {
      const source = await seek(offset);
      open.isWhole = false;
      for (let left = size; left > 0;) {
        const chunk = await next(source);
        if (chunk === undefined) {
          throw new RuntimeError(
            "failed-precondition",
            `${blob.digest} ends after ${open.at} of ${blob.sizeBytes} bytes`,
          );
        }
        const part = chunk.subarray(0, left);
        if (part.length < chunk.length) open.rest = chunk.subarray(part.length);
        open.at += part.length;
        left -= part.length;
        yield part;
      }
      open.isWhole = true;
    },
    [Symbol.asyncDispose]: close,
  };
}
