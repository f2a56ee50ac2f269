import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Bytes between two collections: what all downloads together may hold besides what is under way. */
const bytesBetween = 8 * 1024 * 1024;

/** Of the whole process, as the heap is. */
const passed = { bytes: 0 };

/** Collects what died young. Takes a millisecond or so, since little of a download lives on. */
const collectYoung = findCollector();

/**
 * Frees the buffers that a stream of bytes has passed in, as it goes: called with the length of each. They lie outside
 * of V8's heap, which hardly grows meanwhile, so that left alone V8 waits for 64 MB of them and then marks the whole
 * heap on every core.
 */
export function bufferPassed(bytes: number): void {
  passed.bytes += bytes;
  if (passed.bytes < bytesBetween) return;
  passed.bytes = 0;
  collectYoung();
}

/** V8 shows its collector to contexts that are made while the flag is set. */
function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  setFlagsFromString("--no-expose-gc");
  return () => {
    collect({ type: "minor" });
  };
}
