import { failErrno, libc } from "./libc.ts";

const seek = { data: 3, hole: 4 };

/** Offset and length of each piece of data; undefined where the file is one piece. @see lseek(2) */
export function dataMap(fd: number, size: number, path: string): number[] | undefined {
  const map: number[] = [];
  let at = 0;
  while (at < size) {
    const start = tonumber(libc.lseek(fd, at, seek.data)) ?? -1;
    // ENXIO: nothing but a hole up to the end.
    if (start < 0 || start >= size) break;
    const end = tonumber(libc.lseek(fd, start, seek.hole)) ?? -1;
    if (end < 0) failErrno(`seek in ${path}`);
    const stop = end < size ? end : size;
    map.push(start, stop - start);
    at = stop;
  }
  libc.lseek(fd, 0, 0);
  return map[0] === 0 && map[1] === size ? undefined : map;
}
