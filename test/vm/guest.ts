import { spawn } from "node:child_process";
import { readFile, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** How long a build may take before a suite skips, in ms; it takes some 40 s where the mirror is near. */
const BUILD_TIMEOUT_MS = 300_000;
/** For how long a failed build counts as the answer, in ms: every test file asks, in a process of its own. */
const FAILURE_VALID_MS = 600_000;
/** What a job may print before it is ended, in bytes. */
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** What test/vm/run gets beyond the guest's own deadline, in ms, to boot and to clean up. */
const RUN_MARGIN_MS = 15_000;

/** Whether the guest can be used here; `reason` is meant for `t.skip(reason)`. */
export type GuestAvailability = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** What one job in the guest came to. */
export type GuestResult = {
  /** The command's exit status; 124 where its time was over, 125 where the guest never came to run it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Both streams in the order of their arrival. */
  readonly output: string;
};

/** How to run a job in the guest. */
export type GuestOptions = {
  /** The job's deadline, in ms; 120 s unless given. Rounded up to whole seconds. */
  readonly timeoutMs?: number;
  /** Boots systemd as PID 1 and runs the job as a unit. */
  readonly systemd?: boolean;
  /** The guest's memory, in MiB; 1024 unless given. */
  readonly memoryMib?: number;
  /** A folder of the host that the job may write, as $BERTH_GUEST_SCRATCH. */
  readonly scratch?: string;
  readonly signal?: AbortSignal;
};

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Builds the guest where that is due, and says whether it can be used. Never throws. */
export async function guestAvailable(): Promise<GuestAvailability> {
  const earlier = await recentFailure();
  if (earlier !== undefined) return { ok: false, reason: `no guest: ${earlier}` };
  try {
    const { status, output } = await runScript(script("build"), [], AbortSignal.timeout(BUILD_TIMEOUT_MS));
    if (status === 0) return { ok: true };
    return { ok: false, reason: `no guest: ${lastLine(output)}` };
  } catch (thrown) {
    const reason = `the build was ended: ${String(thrown)}`;
    await writeFile(failureFile(), `${reason}\n`).catch(() => undefined); // a cache that can't be written stays untold
    return { ok: false, reason: `no guest: ${reason}` };
  }
}

/**
 * Runs a command in a guest of its own, which sees this checkout read-only under its own path and starts there.
 * Several may run at once. Call `guestAvailable` first.
 * @throws the signal's reason where `options.signal` aborts; an Error where the job prints more than 16 MiB.
 */
export async function runInGuest(argv: readonly string[], options: GuestOptions = {}): Promise<GuestResult> {
  const timeoutMs = options.timeoutMs ?? 120_000;
  const flags = [`--timeout`, String(Math.max(1, Math.ceil(timeoutMs / 1000)))];
  if (options.memoryMib !== undefined) flags.push("--memory", String(options.memoryMib));
  if (options.scratch !== undefined) flags.push("--scratch", options.scratch);
  if (options.systemd === true) flags.push("--systemd");
  const deadline = AbortSignal.timeout(timeoutMs + RUN_MARGIN_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  return await runScript(script("run"), [...flags, "--", ...argv], signal);
}

/** Runs one of the two scripts in a process group of its own; SIGTERM lets it clean up after itself. */
async function runScript(path: string, args: readonly string[], signal: AbortSignal): Promise<GuestResult> {
  signal.throwIfAborted();
  const child = spawn(path, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let bytes = 0;
  let failure: Error | undefined;
  const chunks: { readonly from: "stdout" | "stderr"; readonly data: Buffer }[] = [];
  const stop = (reason: Error) => {
    failure ??= reason;
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    process.kill(-child.pid, "SIGTERM");
  };
  const onAbort = () => {
    const reason: unknown = signal.reason;
    stop(reason instanceof Error ? reason : new Error(String(reason)));
  };
  signal.addEventListener("abort", onAbort, { once: true });
  for (const from of ["stdout", "stderr"] as const) {
    child[from].on("data", (data: Buffer) => {
      bytes += data.length;
      if (bytes > MAX_OUTPUT_BYTES) stop(new Error(`${path}: more than ${MAX_OUTPUT_BYTES} bytes of output`));
      else chunks.push({ from, data });
    });
  }
  try {
    const status = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, killedBy) => {
        if (code !== null) resolve(code);
        else reject(new Error(`${path} was ended by ${String(killedBy)}`));
      });
    });
    if (failure !== undefined) throw failure;
    const text = (from?: "stdout" | "stderr") =>
      Buffer.concat(
        chunks.filter((chunk) => from === undefined || chunk.from === from).map((chunk) => chunk.data),
      ).toString();
    return { status, stdout: text("stdout"), stderr: text("stderr"), output: text() };
  } catch (thrown) {
    throw failure ?? thrown;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Why a build failed a short time ago, as test/vm/build left it. */
async function recentFailure(): Promise<string | undefined> {
  try {
    const { mtimeMs } = await stat(failureFile());
    if (Date.now() - mtimeMs > FAILURE_VALID_MS) return undefined;
    return lastLine(await readFile(failureFile(), "utf8"));
  } catch {
    return undefined; // no file, no failure
  }
}

function failureFile(): string {
  return `${process.env["BERTH_CACHE"] ?? "/var/cache/berth-test"}/vm/failed`;
}

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
