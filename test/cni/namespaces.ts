import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { CLONE_NEWNET, geteuid, libc, SysError } from "../../src/sys/index.ts";

const run = promisify(execFile);
const unshare = libc.function("unshare", ["i32"], "i32");

/** Skips a test where namespaces can't be made. */
export const needsRoot = geteuid() === 0 ? {} : { skip: "needs root" };

/** A program's standard output; throws with its standard error where it fails. */
export async function output(program: string, ...programArguments: string[]): Promise<string> {
  return (await run(program, programArguments)).stdout;
}

/** Moves this thread, and what it starts from now on, into a fresh network namespace: the tests' "host". */
export async function enterPrivateNetwork(): Promise<void> {
  if (geteuid() !== 0) return;
  const { value, errno } = unshare(CLONE_NEWNET);
  if (value === -1) throw new SysError("unshare", errno);
  await output("ip", "link", "set", "lo", "up");
}

/** A network namespace that a process of the test holds. */
export interface TestNamespace extends AsyncDisposable {
  readonly path: string;
  /** Runs a program inside. */
  readonly run: (program: string, ...programArguments: string[]) => Promise<string>;
}

/** Makes a network namespace that lasts until it is disposed, or the test ends in whatever way. */
export async function makeNamespace(): Promise<TestNamespace> {
  // cat ends when this process does, for its input ends then.
  const holder = spawn("unshare", ["-n", "sh", "-c", "echo; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(holder.stdout, "data");
  const path = `/proc/${holder.pid ?? 0}/ns/net`;
  return {
    path,
    run: (program, ...programArguments) => output("nsenter", `--net=${path}`, program, ...programArguments),
    [Symbol.asyncDispose]: () => end(holder),
  };
}

/** The addresses of the tests' host and of the world beyond it, see {@link makeWorld}. */
export const worldAddresses = {
  host: { 4: "192.0.2.1", 6: "2001:db8::1" },
  world: { 4: "192.0.2.2", 6: "2001:db8::2" },
} as const;

/** A namespace that stands for everything beyond the tests' host, at the other end of the host's link `up0`. */
export async function makeWorld(): Promise<TestNamespace> {
  const world = await makeNamespace();
  const pid = world.path.split("/")[2] ?? "";
  await output("ip", ..."link add up0 type veth peer name eth0 netns".split(" "), pid);
  for (const [run, dev, addresses] of [
    [output, "up0", worldAddresses.host],
    [world.run, "eth0", worldAddresses.world],
  ] as const) {
    await run("ip", "address", "add", `${addresses[4]}/24`, "dev", dev);
    await run("ip", "address", "add", `${addresses[6]}/64`, "dev", dev, "nodad");
    await run("ip", "link", "set", dev, "up");
  }
  return {
    ...world,
    [Symbol.asyncDispose]: async () => {
      await world[Symbol.asyncDispose]();
      // The namespace takes its end along, but not at once.
      await run("ip", ["link", "delete", "up0"]).catch(() => undefined);
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
