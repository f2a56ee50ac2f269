import type { ExitRecord } from "../../protocol/messages.ts";
import { O, SIG } from "../ffi/constants.ts";
import { sysError } from "../ffi/error.ts";
import { close, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { encode } from "../json.ts";

/** A message in a record is cut at this, so that it fits the space that was set aside. */
const maxMessageBytes = 2048;

const signalBase = 128;

/** How a container ended, from what waitpid said. */
export function exitRecord(
  ended: { readonly status: number; readonly signal: number },
  times: { readonly startedAt: string; readonly finishedAt: string },
  oomKilled: boolean,
  message: string,
): ExitRecord {
  const { status, signal } = ended;
  return {
    exitCode: signal === 0 ? status : signalBase + signal,
    signal,
    oomKilled,
    ...times,
    message: string.sub(message, 1, maxMessageBytes),
  };
}

/** True where SIGKILL ended it, or ended its child and it passed that on as a shell does: `sh -c`, tini, a script. */
export function endedByKill({
  status,
  signal,
}: {
  readonly status: number;
  readonly signal: number;
}): boolean {
  return signal === SIG.KILL || (signal === 0 && status === signalBase + SIG.KILL);
}

/** Writes the record in one piece into the space that was preallocated. */
export function writeExitRecord(path: string, record: ExitRecord): void {
  const fd = open(path, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600);
  const text = encode(record);
  const put = C.write(fd, text, text.length);
  const problem = put === text.length ? undefined : sysError("write", path);
  close(fd);
  if (problem !== undefined) throw problem;
}
