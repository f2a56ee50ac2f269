import { RuntimeError } from "../core/errors.ts";

/**
 * Signal numbers of x86-64 and arm64.
 *
 * @see https://man7.org/linux/man-pages/man7/signal.7.html
 */
const numbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGILL: 4,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGIOT: 6,
  SIGBUS: 7,
  SIGFPE: 8,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGSEGV: 11,
  SIGUSR2: 12,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
  SIGSTKFLT: 16,
  SIGCHLD: 17,
  SIGCLD: 17,
  SIGCONT: 18,
  SIGSTOP: 19,
  SIGTSTP: 20,
  SIGTTIN: 21,
  SIGTTOU: 22,
  SIGURG: 23,
  SIGXCPU: 24,
  SIGXFSZ: 25,
  SIGVTALRM: 26,
  SIGPROF: 27,
  SIGWINCH: 28,
  SIGIO: 29,
  SIGPOLL: 29,
  SIGPWR: 30,
  SIGSYS: 31,
};

// glibc keeps 32 and 33 for itself, so its SIGRTMIN, which images mean, is 34.
const realtimeMin = 34;
const realtimeMax = 64;
const realtime = /^SIGRT(MIN|MAX)(?:(?:\+|-|PLUS|MINUS)(\d{1,2}))?$/;

/**
 * The number of a signal named `SIGTERM`, `TERM`, `15`, `SIGRTMIN+3` or, as in the CRI, `SIGRTMINPLUS3`; throws
 * `invalid-argument`.
 */
export function signalNumber(name: string): number {
  const upper = name.toUpperCase();
  if (/^\d{1,2}$/.test(upper)) {
    const number = Number(upper);
    if (number >= 1 && number <= realtimeMax) return number;
  }
  const full = upper.startsWith("SIG") ? upper : `SIG${upper}`;
  const found = Object.hasOwn(numbers, full) ? numbers[full] : realtimeNumber(full);
  if (found !== undefined) return found;
  throw new RuntimeError("invalid-argument", `unknown signal ${JSON.stringify(name)}`);
}

/**
 * The signal that Stop sends first: the request's, else the image's, else SIGTERM (KEP-4960; OCI image spec
 * config.md#properties). Given as the name that was written; throws `invalid-argument` where it is none.
 */
export function effectiveStopSignal(
  config: { readonly stopSignal?: string },
  image: { readonly stopSignal: string },
): string {
  const [name, origin] =
    config.stopSignal !== undefined && config.stopSignal !== ""
      ? [config.stopSignal, "stop_signal"]
      : [image.stopSignal === "" ? "SIGTERM" : image.stopSignal, "the image's stop signal"];
  try {
    signalNumber(name);
  } catch (error) {
    throw new RuntimeError("invalid-argument", `${origin}: ${(error as Error).message}`, { cause: error });
  }
  return name;
}

function realtimeNumber(full: string): number | undefined {
  const [matched, end, distanceText] = realtime.exec(full) ?? [];
  if (matched === undefined) return undefined;
  const distance = Number(distanceText ?? "0");
  // SIGRTMIN-1 and SIGRTMAX+1 lie outside; the sign that fits the end is the only one accepted.
  if (distance !== 0 && /\+|PLUS/.test(matched) !== (end === "MIN")) return undefined;
  const number = end === "MIN" ? realtimeMin + distance : realtimeMax - distance;
  return number >= realtimeMin && number <= realtimeMax ? number : undefined;
}
