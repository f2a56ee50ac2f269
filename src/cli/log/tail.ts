import type { FileHandle } from "node:fs/promises";

const blockBytes = 64 * 1024;
const newline = 0x0a;

/** Where the last `count` lines of a file begin; an unfinished line at its end counts as one. */
export async function offsetOfLastLines(file: FileHandle, count: number): Promise<number> {
  const { size } = await file.stat();
  if (count === 0) return size;
  const block = Buffer.alloc(blockBytes);
  let found = 0;
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(block, 0, end - start, start);
    for (let index = bytesRead - 1; index >= 0; index--) {
      const offset = start + index;
      if (block[index] !== newline || offset === size - 1) continue;
      found += 1;
      if (found === count) return offset + 1;
    }
    end = start;
  }
  return 0;
}
