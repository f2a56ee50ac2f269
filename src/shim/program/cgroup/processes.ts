import { tryReadFile } from "../ffi/files.ts";

/** Processes that a message names at most. */
const maxNamed = 5;

const maxProcFileBytes = 4096;

/** `12 (cp, D, in nfs_wait_bit_killable)` for each of the first few: what an operator needs to know of a stuck one. */
export function describeProcesses(pids: readonly number[]): string {
  const texts: string[] = [];
  for (const pid of pids) {
    if (texts.length === maxNamed) {
      texts.push(`and ${pids.length - maxNamed} more`);
      break;
    }
    texts.push(describe(pid));
  }
  return texts.length === 0 ? "no process" : texts.join(", ");
}

function describe(pid: number): string {
  const stat = tryReadFile(`/proc/${pid}/stat`, maxProcFileBytes) ?? "";
  const [name, state] = string.match(stat, "^%d+ %((.*)%) (%a)");
  if (name === undefined) return `${pid} (gone)`;
  const place = tryReadFile(`/proc/${pid}/wchan`, maxProcFileBytes) ?? "0";
  return place === "0" || place === ""
    ? `${pid} (${name}, ${state})`
    : `${pid} (${name}, ${state}, in ${place})`;
}
