import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { TestDaemon } from "../harness/daemon.ts";

const program = join(import.meta.dirname, "../../bin/berth");

/** What a run of `berth` came to. */
export interface BerthResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The `berth` command, as an operator has it, against a daemon of a test. */
export class Berth {
  readonly #socket: string;

  constructor(daemon: Pick<TestDaemon, "socket">) {
    this.#socket = daemon.socket;
  }

  /** Starts it with its three streams in pipes. */
  start(...args: readonly string[]): ChildProcess {
    return spawn(program, args, { env: { ...process.env, BERTH_SOCKET: this.#socket } });
  }

  /** Starts it on a terminal of its own; what script(1) is given is typed there. */
  startOnTerminal(...args: readonly string[]): ChildProcess {
    return this.#onTerminal("dumb", args);
  }

  /** As {@link startOnTerminal}, on one whose cursor can be moved. */
  startOnScreen(...args: readonly string[]): ChildProcess {
    return this.#onTerminal("xterm", args);
  }

  #onTerminal(terminal: string, args: readonly string[]): ChildProcess {
    const command = [program, ...args].map((arg) => `'${arg}'`).join(" ");
    return spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"], {
      env: { ...process.env, BERTH_SOCKET: this.#socket, TERM: terminal },
    });
  }

  /** Runs it to its end. */
  async run(args: readonly string[], input = ""): Promise<BerthResult> {
    const child = this.start(...args);
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
    return ended(child);
  }

  /** As {@link run}; throws where the status is not 0, and gives standard output. */
  async must(...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(args);
    if (status !== 0) throw new Error(`berth ${args.join(" ")}: status ${status ?? "?"}: ${stderr}${stdout}`);
    return stdout;
  }

  /** As {@link must}, with --json. */
  async json<T>(...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.must("--json", ...args)) as T;
  }
}

/** Waits for the end of a program, and gives what it writes from now on. */
export async function ended(child: ChildProcess): Promise<BerthResult> {
  const stdout = gather(child.stdout);
  const stderr = gather(child.stderr);
  const [status] = (await once(child, "close")) as [number | null];
  return { status, stdout: stdout(), stderr: stderr() };
}

/** Resolves once a stream has given this; others may read it too. */
export async function untilText(stream: Readable | null, expected: RegExp): Promise<void> {
  if (stream === null) throw new Error("no stream");
  const signal = AbortSignal.timeout(15_000);
  let seen = "";
  while (!expected.test(seen)) {
    const [chunk] = (await once(stream, "data", { signal })) as [Buffer];
    seen += chunk.toString();
  }
}

function gather(stream: Readable | null): () => string {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString();
}
