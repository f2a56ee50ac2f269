import { watch } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const blockBytes = 64 * 1024;

/** A change that the kernel told nothing of is seen this late: inotify(7) does not see through every file system. */
const pollMs = 500;

/** The file behind a rotated log may take this long to appear. */
const maxAbsentMs = 5_000;

/** What a reader of a growing file is told by its caller. */
export interface FollowOptions {
  /** Bytes to leave out at the beginning. */
  readonly offset: number;
  /** True once nothing more will be written. */
  readonly ended: () => Promise<boolean>;
  readonly signal: AbortSignal;
}

/**
 * Reads a log file as it grows, past its rotation: when another file has taken the path, the old one is read to its
 * end and then the new one. Ends when all was read after `ended` said so.
 */
export async function* follow(path: string, options: FollowOptions): AsyncGenerator<Buffer> {
  const { signal, ended } = options;
  using changes = watchFolder(dirname(path));
  let file = await open(path, "r");
  let offset = options.offset;
  try {
    for (;;) {
      // Both are asked before reading: what was written until then is read after it.
      const last = await ended();
      const rotated = await wasReplaced(file, path);
      for await (const bytes of readToEnd(file, offset)) {
        offset += bytes.length;
        yield bytes;
      }
      signal.throwIfAborted();
      if (rotated) {
        const next = await openWhenThere(path, signal);
        await file.close();
        file = next;
        offset = 0;
      } else if (last) return;
      else await changes.next(signal);
    }
  } finally {
    await file.close();
  }
}

/** Reads from `offset` to the end that the file has when it is reached. */
export async function* readToEnd(file: FileHandle, offset: number): AsyncGenerator<Buffer> {
  for (let position = offset; ;) {
    const buffer = Buffer.alloc(blockBytes);
    const { bytesRead } = await file.read(buffer, 0, blockBytes, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** While a rotation is between its rename and its new file, the path names nothing. */
async function wasReplaced(file: FileHandle, path: string): Promise<boolean> {
  const [held, named] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return named !== undefined && (named.ino !== held.ino || named.dev !== held.dev);
}

async function openWhenThere(path: string, signal: AbortSignal): Promise<FileHandle> {
  const deadline = Date.now() + maxAbsentMs;
  for (;;) {
    try {
      return await open(path, "r");
    } catch (thrown) {
      if (Date.now() > deadline) throw thrown;
      await sleep(pollMs / 10, undefined, { signal });
    }
  }
}

interface Changes extends Disposable {
  /** Resolves after a change since the last call, or {@link pollMs}. */
  next(signal: AbortSignal): Promise<void>;
}

function watchFolder(folder: string): Changes {
  let changed = false;
  let wake: (() => void) | undefined;
  const watcher = watch(folder, () => {
    changed = true;
    wake?.();
  });
  watcher.on("error", () => undefined);
  return {
    next: async (signal) => {
      if (!changed) {
        const woken = new Promise<void>((resolve) => (wake = resolve));
        using timer = new DisposableStack();
        const aborter = new AbortController();
        timer.defer(() => {
          aborter.abort();
        });
        const timeout = sleep(pollMs, undefined, { signal: AbortSignal.any([signal, aborter.signal]) });
        await Promise.race([woken, timeout.catch(() => undefined)]);
      }
      changed = false;
      signal.throwIfAborted();
    },
    [Symbol.dispose]: () => {
      watcher.close();
    },
  };
}
