import { closeSync, mkdirSync, openSync } from "node:fs";
import { mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { flock, isErrno, LOCK_EX } from "../../sys/index.ts";
import type { ValidAttachment } from "../plugin.ts";

/** An overlay's users while nobody else can change them. */
export interface Users {
  all(): Promise<ValidAttachment[]>;
  add(user: ValidAttachment): Promise<void>;
  /** One that is not there stays so; with the last one the folder goes. */
  remove(user: ValidAttachment): Promise<void>;
}

/**
 * Runs `work` with the users of the overlay whose folder is at `path`: one empty file for each attachment, under a lock
 * on the folder around it that other processes take as well.
 */
export async function withUsers<T>(
  path: string,
  signal: AbortSignal,
  work: (users: Users) => Promise<T>,
): Promise<T> {
  const around = dirname(path);
  mkdirSync(around, { recursive: true, mode: 0o755 });
  const fd = openSync(around, "r");
  try {
    await flock(fd, LOCK_EX, around, signal);
    return await work(usersIn(path));
  } finally {
    closeSync(fd);
  }
}

function usersIn(path: string): Users {
  const fileOf = ({ containerID, ifname }: ValidAttachment): string => join(path, `${containerID}:${ifname}`);
  return {
    all: async () => {
      const names = await readdir(path).catch((error: unknown) => {
        if (isErrno(error, "ENOENT")) return [];
        throw error;
      });
      // An interface's name has no colon.
      return names.map((name) => {
        const colon = name.lastIndexOf(":");
        return { containerID: name.slice(0, colon), ifname: name.slice(colon + 1) };
      });
    },
    add: async (user) => {
      await mkdir(path, { recursive: true, mode: 0o755 });
      await writeFile(fileOf(user), "");
    },
    remove: async (user) => {
      await rm(fileOf(user), { force: true });
      await rmdir(path).catch((error: unknown) => {
        if (!isErrno(error, "ENOTEMPTY") && !isErrno(error, "ENOENT")) throw error;
      });
    },
  };
}
