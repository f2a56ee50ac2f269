import { spawn } from "node:child_process";
import { once } from "node:events";
import { RuntimeError } from "../../core/errors.ts";
import { isObject } from "../documents.ts";
import type { Credentials } from "./credentials.ts";

/** Limits of a helper's run. */
export interface HelperLimits {
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
}

const defaultLimits: HelperLimits = { timeoutMs: 30_000, maxOutputBytes: 64 * 1024 };

/** What helpers say on standard output where they have nothing for a server. */
const notFound = /credentials not found in native keychain|credentials server URL not found/i;

/**
 * Runs `docker-credential-<name> get` with the server's name on standard input; undefined where it knows none. Throws
 * `unauthenticated` naming helper and server, and nothing of what the helper wrote: that may be a secret.
 * @see https://github.com/docker/docker-credential-helpers#development
 */
export async function askCredentialHelper(
  name: string,
  server: string,
  limits: HelperLimits = defaultLimits,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  const failed = (why: string): RuntimeError =>
    new RuntimeError("unauthenticated", `credentials for ${server}: ${program} ${why}`);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new RuntimeError(
      "failed-precondition",
      `credentials for ${server}: ${JSON.stringify(name)} is no name of a helper`,
    );
  }
  const { output, ending } = await run(program, server, limits, failed);
  if (ending !== "exit 0") {
    if (notFound.test(output)) return undefined;
    throw failed(`ended with ${ending}`);
  }
  const answer = parseAnswer(output);
  if (answer === undefined) throw failed("answered something other than credentials");
  const { username, secret } = answer;
  if (username === "" && secret === "") return undefined;
  if (username === "<token>") return { kind: "refresh-token", token: secret };
  return { kind: "basic", username, password: secret };
}

async function run(
  program: string,
  server: string,
  { timeoutMs, maxOutputBytes }: HelperLimits,
  failed: (why: string) => RuntimeError,
): Promise<{ readonly output: string; readonly ending: string }> {
  // A group of its own, so that what it starts ends with it.
  const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "ignore"], detached: true, cwd: "/" });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once("error", (error: NodeJS.ErrnoException) => {
    reject(
      failed(error.code === "ENOENT" ? "is not in the PATH of berthd" : `cannot run: ${error.code ?? ""}`),
    );
  });
  // Out of descriptors it has none, and the error above comes in the next tick.
  const { stdin, stdout } = child as Partial<typeof child>;
  const chunks: Buffer[] = [];
  let total = 0;
  stdout?.on("data", (chunk: Buffer) => {
    total += chunk.length;
    if (total > maxOutputBytes) reject(failed(`wrote more than ${maxOutputBytes} bytes`));
    else chunks.push(chunk);
  });
  // One that does not read its input may answer all the same.
  stdin?.on("error", () => undefined);
  child.once("close", (code, signal) => {
    resolve(signal ?? `exit ${String(code)}`);
  });
  const timer = setTimeout(() => {
    reject(failed(`gave no answer within ${timeoutMs} ms`));
  }, timeoutMs);
  stdin?.end(`${server}\n`);
  try {
    const ending = await promise;
    return { output: Buffer.concat(chunks).toString("utf8"), ending };
  } catch (thrown) {
    await endGroup(child);
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the helper and its children, and sees it gone. */
async function endGroup(child: ReturnType<typeof spawn>): Promise<void> {
  if (child.pid === undefined) return;
  const isRunning = child.exitCode === null && child.signalCode === null;
  const gone = isRunning ? once(child, "exit") : undefined;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // Nothing is left of it.
  }
  await gone;
  child.stdout?.destroy();
}

function parseAnswer(text: string): { readonly username: string; readonly secret: string } | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    if (!isObject(answer)) return undefined;
    const { Username: username = "", Secret: secret = "" } = answer;
    return typeof username === "string" && typeof secret === "string" ? { username, secret } : undefined;
  } catch {
    return undefined;
  }
}
