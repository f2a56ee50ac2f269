import { statfs as nodeStatfs } from "node:fs/promises";

/** A mounted file system as statfs(2) describes it. */
export interface FileSystem {
  /** `f_type`: one of the _MAGIC constants. */
  readonly type: number;
  readonly totalBytes: bigint;
  /** Free for everyone, without what is kept for root. */
  readonly availableBytes: bigint;
  readonly inodes: bigint;
  readonly freeInodes: bigint;
}

/**
 * Describes the file system that holds `path`, on a thread of libuv's pool.
 *
 * @see https://man7.org/linux/man-pages/man2/statfs.2.html
 */
export async function statfs(path: string): Promise<FileSystem> {
  const found = await nodeStatfs(path, { bigint: true });
  return {
    // f_type is a signed long in which some file systems' magic comes out negative.
    type: Number(found.type & 0xffff_ffffn),
    totalBytes: found.blocks * found.bsize,
    availableBytes: found.bavail * found.bsize,
    inodes: found.files,
    freeInodes: found.ffree,
  };
}
