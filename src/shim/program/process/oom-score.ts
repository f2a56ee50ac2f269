import { O } from "../ffi/constants.ts";
import { E, sysError } from "../ffi/error.ts";
import { close, readAllFd } from "../ffi/files.ts";
import { openProcFile, tryWriteProc } from "./procfs.ts";

const maxScoreBytes = 16;

/**
 * Writes oom_score_adj of a process (`self` or a pid); where it may not be lowered (EACCES without CAP_SYS_RESOURCE,
 * which a user namespace does not give) that is a warning. One that has the value already is left alone, so that a
 * parent with more rights can set it before.
 */
export function setOomScoreAdj(
  procfs: number,
  who: "self" | number,
  value: number,
  warn: (text: string) => void,
): void {
  const file = `${who}/oom_score_adj`;
  if (readScore(procfs, file) === value) return;
  const number = tryWriteProc(procfs, file, `${value}`);
  if (number === E.ACCES || number === E.PERM) {
    warn(`oom_score_adj ${value}: permission denied`);
  } else if (number !== 0) {
    throw sysError("write", `/proc/${file}`, number);
  }
}

function readScore(procfs: number, file: string): number | undefined {
  const fd = openProcFile(procfs, file, O.RDONLY);
  if (fd === undefined) return undefined;
  const [ok, text] = pcall(readAllFd, fd, maxScoreBytes, file);
  close(fd);
  return ok ? tonumber(text) : undefined;
}
