import { commonNr } from "./arch.ts";
import { sysError } from "./error.ts";
import { C } from "./libc.ts";

const firstOther = 3;
const lastFd = 0xffffffff;

/**
 * Closes everything but 0 to 2 and the given descriptors: what a forked child does at once, so that it neither keeps
 * its parent's connections open nor can leak them (close_range(2)).
 */
export function closeAllBut(keep: readonly number[]): void {
  const sorted = keep.filter((fd) => fd >= firstOther).sort((a, b) => a - b);
  let next = firstOther;
  for (const fd of sorted) {
    if (fd > next) closeRange(next, fd - 1);
    next = fd + 1;
  }
  closeRange(next, lastFd);
}

/** The numbers of `count` descriptors from 3 on. */
export function preservedDescriptors(count: number): number[] {
  const fds: number[] = [];
  for (let fd = firstOther; fd < firstOther + count; fd++) fds.push(fd);
  return fds;
}

function closeRange(first: number, last: number): void {
  if (C.sys_close_range(commonNr.closeRange, first, last, 0) < 0) throw sysError("close_range", first);
}

/** A list of the descriptors that there are: an array literal with an absent one in it would end there (Lua). */
export function openOnes(...fds: readonly (number | undefined)[]): number[] {
  const there: number[] = [];
  for (let i = 0; i < select("#", ...fds); i++) {
    const [fd] = select(i + 1, ...fds);
    if (fd !== undefined) there.push(fd);
  }
  return there;
}
