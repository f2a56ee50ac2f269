/** Bytes of {@link FileContent}'s store, from which every file is cut. */
const poolBytes = 8 * 1024 * 1024;
const tokens = 1024;
const maxTokenBytes = 32;
/** Of 256: how often a token is followed by a few bytes that repeat nothing. */
const noise = 170;
const maxNoiseBytes = 8;

/** A generator that gives the same numbers on every machine (xorshift, 32 bits); they lie in [0, limit). */
export function numbers(seed: number): (limit: number) => number {
  let state = seed === 0 ? 1 : seed >>> 0;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Gives a file's bytes by its size. */
export type FileContent = (size: number) => Buffer;

/**
 * Content that gzip makes about as small as an image's programs and texts: words of a vocabulary, few of them often,
 * with bytes between them that never come again. Files are cut from one store, at places further apart than gzip looks back.
 */
export function fileContent(seed: number): FileContent {
  const next = numbers(seed);
  const pool = fillPool(next);
  return (size) => {
    const parts: Buffer[] = [];
    for (let left = size; left > 0;) {
      const at = next(poolBytes - 1);
      const part = pool.subarray(at, Math.min(poolBytes, at + left));
      parts.push(part);
      left -= part.length;
    }
    return Buffer.concat(parts, size);
  };
}

function fillPool(next: (limit: number) => number): Buffer {
  const vocabulary = Array.from({ length: tokens }, () =>
    Buffer.from(Array.from({ length: 2 + next(maxTokenBytes - 1) }, () => next(256))),
  );
  const pool = Buffer.alloc(poolBytes);
  for (let at = 0; at < poolBytes;) {
    // The product of three is small far more often than not.
    const token = vocabulary[Math.floor((next(tokens) * next(tokens) * next(tokens)) / tokens ** 2)];
    if (token !== undefined) at += token.copy(pool, at);
    if (next(256) >= noise) continue;
    for (let left = 1 + next(maxNoiseBytes); left > 0 && at < poolBytes; left--) pool[at++] = next(256);
  }
  return pool;
}
