import type { Stats } from "node:fs";
import { constants } from "node:fs";
import { lstat, open, opendir, type FileHandle } from "node:fs/promises";
import type { Pace } from "./pace.ts";

/** What a folder with all below it takes of its file system. */
export interface TreeUsage {
  /** Blocks that are allocated: holes are not counted, and a file with several names is counted once. */
  readonly usedBytes: bigint;
  readonly inodes: bigint;
}

/** Folders within folders that are looked into; each level holds two handles. What lies deeper is not counted. */
export const maxDepth = 256;

/** st_blocks counts in these, whatever the file system's own blocks are (stat(2)). */
const blockBytes = 512;

const openFolder = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Measures a tree whose owner may change it meanwhile and may be hostile: a folder that is swapped for a symbolic link
 * leads nowhere, since each is opened below the one above through /proc/self/fd, without following links.
 */
export async function measureTree(root: string, pace: Pace): Promise<TreeUsage> {
  const count = new Count(await lstat(root));
  await using folder = await open(root, openFolder);
  await visit(folder, count, pace, 1);
  return { usedBytes: BigInt(count.blocks) * BigInt(blockBytes), inodes: BigInt(count.inodes) };
}

async function visit(folder: FileHandle, count: Count, pace: Pace, depth: number): Promise<void> {
  const path = `/proc/self/fd/${folder.fd}`;
  // Names are bytes; latin1 keeps each of them.
  for await (const { name } of await opendir(path, { encoding: "latin1" })) {
    await pace.step();
    const entry = Buffer.from(`${path}/${name}`, "latin1");
    const stat = await ifThere(lstat(entry));
    if (stat === undefined || !count.add(stat) || !stat.isDirectory() || depth === maxDepth) continue;
    await using below = await ifThere(open(entry, openFolder));
    if (below !== undefined) await visit(below, count, pace, depth + 1);
  }
}

/** Adds entries up; those on another file system, and further names of one file, are not the tree's. */
class Count {
  blocks: number;
  inodes = 1;
  readonly #device: number;
  readonly #named = new Set<number>();

  constructor(root: Stats) {
    this.blocks = root.blocks;
    this.#device = root.dev;
  }

  /** False where the entry does not count. */
  add(stat: Stats): boolean {
    if (stat.dev !== this.#device) return false;
    if (!stat.isDirectory() && stat.nlink > 1) {
      if (this.#named.has(stat.ino)) return false;
      this.#named.add(stat.ino);
    }
    this.blocks += stat.blocks;
    this.inodes += 1;
    return true;
  }
}

/** Undefined for what was removed, or replaced by something else, since its folder was read. */
async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ELOOP") return undefined;
    throw error;
  }
}
