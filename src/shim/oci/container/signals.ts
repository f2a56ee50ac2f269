import { failure } from "../../program/failure.ts";

/** Names by number (signal(7), x86-64 and arm64). */
const names: readonly string[] = [
  "",
  "HUP",
  "INT",
  "QUIT",
  "ILL",
  "TRAP",
  "ABRT",
  "BUS",
  "FPE",
  "KILL",
  "USR1",
  "SEGV",
  "USR2",
  "PIPE",
  "ALRM",
  "TERM",
  "STKFLT",
  "CHLD",
  "CONT",
  "STOP",
  "TSTP",
  "TTIN",
  "TTOU",
  "URG",
  "XCPU",
  "XFSZ",
  "VTALRM",
  "PROF",
  "WINCH",
  "IO",
  "PWR",
  "SYS",
];
const firstRealTime = 34;
const lastSignal = 64;

/** A signal's number from `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+1` or `RTMAX-1`. */
export function parseSignal(word: string): number {
  const number = tonumber(word) ?? numberOf(string.gsub(string.upper(word), "^SIG", "")[0]);
  if (number !== undefined && number % 1 === 0 && number >= 0 && number <= lastSignal) return number;
  throw failure("invalid-argument", `unknown signal ${word}`);
}

function numberOf(name: string): number | undefined {
  const [base, more] = string.match(name, "^RTM(%a+)%+?(%-?%d*)$");
  if (base === "IN") return firstRealTime + (tonumber(more) ?? 0);
  if (base === "AX") return lastSignal + (tonumber(more) ?? 0);
  const index = names.indexOf(name);
  return index > 0 ? index : undefined;
}
