/** busybox lists its applets, sorted, as `[` `[[` and so on, each ended by a zero byte. */
const firstNames = Buffer.from("\0[\0[[\0", "latin1");
const maxApplets = 1000;

/** The names of the programs that a busybox binary holds, read from its table; empty for another binary. */
export function readApplets(binary: Buffer): string[] {
  const start = binary.indexOf(firstNames);
  if (start < 0) return [];
  const names: string[] = [];
  for (let at = start + 1; names.length < maxApplets;) {
    const end = binary.indexOf(0, at);
    const name = binary.toString("latin1", at, end);
    if (end < 0 || !/^[[a-z0-9_.-]{1,31}$/i.test(name)) break;
    names.push(name);
    at = end + 1;
  }
  return names;
}
