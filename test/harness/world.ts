import { spawn, type ChildProcess, type SpawnOptions } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** What a command run inside gave. */
export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the scripts in hack/ have a part of the cgroup hierarchies to themselves; worlds do it the same way. */
const cgroupFunctions = join(import.meta.dirname, "../../hack/lib/cgroups.bash");

/** Enters that part (its name is $2), then the namespaces. */
const enterNamespaces = [
  'source "$1"',
  'enter_cgroup "$2"',
  "exec unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child --mount-proc --propagation private " +
    'bash -c "$3" world "$1" "$2"',
].join(" && ");

/** Set-up of a world: mounts that both sides see, its own cgroups alone, a /run of its own, loopback. */
const setUp = [
  'source "$1"',
  'narrow_cgroups "$2"',
  "mount --make-rshared /",
  "mount -t tmpfs -o mode=0755 tmpfs /run",
  "mkdir -p /run/netns",
  "ip link set lo up",
  "echo ready",
  "{ sleep infinity & wait; }",
].join(" && ");

/** A thread that moves itself through v1's `tasks` does not wait for a grace period, as a process does. */
const enterLeaves =
  'for leaf in $0; do file=$leaf/tasks; [ -f "$file" ] || file=$leaf/cgroup.procs; echo 0 >"$file" || exit; done; ' +
  'exec nsenter "$@"';

/**
 * A machine of its own for one test file: namespaces for mounts, network, processes and names, and a part of the cgroup
 * hierarchies that it takes for the whole, held by one process. When that process is killed, everything that ran or was
 * mounted inside is gone with it; the cgroups are removed after it. Needs root.
 */
export class World implements AsyncDisposable {
  readonly folder: string;
  /** Parent of all cgroups that a daemon inside makes. */
  readonly cgroupParent: string;
  readonly #holder: ChildProcess;
  readonly #pid: number;
  /** Path of its network namespace, for what is to be reached in it without being part of it. */
  readonly network: string;
  /** The cgroup in each hierarchy that holds what is started inside. */
  readonly #leaves: readonly string[];

  private constructor(folder: string, holder: ChildProcess, pid: number, leaves: readonly string[]) {
    this.#leaves = leaves;
    this.folder = folder;
    this.cgroupParent = `/${basename(folder)}`;
    this.#holder = holder;
    this.#pid = pid;
    this.network = `/proc/${pid}/ns/net`;
  }

  static async create(): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), "berth-test-"));
    const holder = spawn("bash", ["-c", enterNamespaces, "world", cgroupFunctions, basename(folder), setUp], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(holder, "exit").then(() => {
      throw new Error("the world could not be made: its holder ended");
    });
    await Promise.race([once(holder.stdout, "data"), ended]);
    ended.catch(() => undefined);
    const children = await readFile(`/proc/${holder.pid ?? 0}/task/${holder.pid ?? 0}/children`, "utf8");
    const leaves = (await hierarchies()).map((hierarchy) => join(hierarchy, basename(folder), "runner"));
    // On v2 the part's root hands controllers on only when the holder has left it as well.
    if (leaves.length === 1) await writeFile(`${leaves[0] ?? ""}/cgroup.procs`, String(holder.pid));
    return new World(folder, holder, Number(children.trim()), leaves);
  }

  /** Starts a program inside, its cgroups included: on v2 a process outside of them could not move its children. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"];
    const enter = ["--target", String(this.#pid), ...namespaces, "--", command, ...args];
    return spawn("sh", ["-c", enterLeaves, this.#leaves.join(" "), ...enter], options);
  }

  /** Runs a program inside to its end. */
  async run(command: string, args: readonly string[], input?: string | Buffer): Promise<CommandResult> {
    const child = this.spawn(command, args, {
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    child.stdin?.on("error", () => undefined);
    if (input !== undefined) child.stdin?.end(input);
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      exitStatus(child),
    ]);
    return { status, stdout, stderr };
  }

  /** As {@link run}; throws with the program's own words where it fails. */
  async must(command: string, ...args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(command, args);
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Puts a file into the world's folder, which both sides see; gives its path. */
  async file(name: string, content: string | Buffer): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content);
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // It may have been ended from outside, by the signal that ends the whole run.
    if (this.#holder.exitCode === null && this.#holder.signalCode === null) {
      const ended = once(this.#holder, "exit");
      this.#holder.kill("SIGKILL");
      await ended;
    }
    await removeCgroups(this.cgroupParent);
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function text(stream: NodeJS.ReadableStream | null): Promise<string> {
  if (stream === null) return "";
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

async function exitStatus(child: ChildProcess): Promise<number> {
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  if (code === null) throw new Error(`killed by ${signal ?? "?"}`);
  return code;
}

/** Folders that hold hierarchies: one a controller on v1, the root itself on v2. */
async function hierarchies(): Promise<readonly string[]> {
  const root = "/sys/fs/cgroup";
  const names = await readdir(root, { withFileTypes: true });
  if (names.some((entry) => entry.name === "cgroup.controllers")) return [root];
  const folders = names.filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
  // Not those where a hierarchy could be mounted and is not.
  return folders.filter((folder) => existsSync(join(folder, "cgroup.procs")));
}

/** Removes a cgroup and all below it, in every hierarchy; its processes were killed with the world. */
async function removeCgroups(parent: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    for (let left = 50; left > 0 && !(await removeTree(join(hierarchy, parent))); left--) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function removeTree(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
  if (entries === undefined) return true;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  return rmdir(path).then(
    () => true,
    () => false,
  );
}
