import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  Spec,
  SpecCapabilities,
  SpecLinux,
  SpecMount,
  SpecProcess,
} from "../../src/core/oci-runtime-spec.ts";
import { isAlive } from "./evidence.ts";
import { type CreateOptions, Launcher, type ShimConnection, type Wait } from "../../src/shim/client/index.ts";
import type { Created, ExitRecord } from "../../src/shim/protocol/messages.ts";

/** The bundle that `npm run build` made. */
export const bundlePath =
  process.env.BERTH_SHIM_BUNDLE ?? fileURLToPath(new URL("../../dist/shim/berth-shim.lua", import.meta.url));

/** Every wait of these tests ends. */
export const wait = { timeoutMs: 20_000 };

/** What a test changes of the plain spec. */
export interface SpecChange {
  readonly process?: Partial<SpecProcess>;
  readonly linux?: Partial<SpecLinux>;
  readonly mounts?: readonly SpecMount[];
  readonly root?: Partial<NonNullable<Spec["root"]>>;
  readonly spec?: Partial<Spec>;
  readonly request?: Partial<CreateOptions>;
}

/** A container of a test. */
export interface TestContainer {
  readonly id: string;
  readonly folder: string;
  readonly created: Created;
  readonly shim: ShimConnection;
  readonly exit: Promise<ExitRecord>;
  readonly logPath: string;
  readonly recordPath: string;
  /** The log's lines without their times. */
  logLines(): string[];
}

/** A folder with a launcher, a rootfs of busybox, and what tests make there. */
export class TestHost implements AsyncDisposable {
  readonly folder: string;
  readonly rootfs: string;
  readonly launcher: Launcher;
  readonly #containers: TestContainer[] = [];
  readonly #leaves: string[] = [];

  private constructor(folder: string, launcher: Launcher) {
    this.folder = folder;
    this.rootfs = join(folder, "rootfs");
    this.launcher = launcher;
  }

  static async start(): Promise<TestHost> {
    const folder = mkdtempSync(join(process.env.BERTH_TEST_DIR ?? tmpdir(), "berth-shim-"));
    makeRootfs(join(folder, "rootfs"));
    const launcher = await Launcher.ensure(
      { luajit: "/usr/bin/luajit", bundle: bundlePath, runDir: folder },
      wait,
    );
    return new TestHost(folder, launcher);
  }

  /** Makes a container whose root is an overlay over the busybox. */
  async create(args: readonly string[], change: SpecChange = {}, bound: Wait = wait): Promise<TestContainer> {
    const id = randomBytes(8).toString("hex");
    const folder = join(this.folder, id);
    for (const name of ["upper", "work"]) mkdirSync(join(folder, name), { recursive: true });
    const spec = specOf(id, args, change);
    writeFileSync(join(folder, "config.json"), JSON.stringify(spec));
    const logPath = join(folder, "log");
    const recordPath = join(folder, "exit.json");
    const newShim = this.launcher.newShim(bound);
    newShim.prepare({ id, cgroup: spec.linux?.cgroupsPath ?? "" });
    const { created, connection } = await newShim.create(
      {
        bundle: folder,
        rootfs: {
          kind: "overlay",
          layersDir: this.folder,
          lowers: ["rootfs"],
          upper: join(folder, "upper"),
          work: join(folder, "work"),
          volatile: true,
          lowerdirPlus: true,
        },
        socket: join(folder, "shim.sock"),
        exitRecord: recordPath,
        log: { path: logPath, maxLineBytes: 16384, maxBytes: 0 },
        stdin: "closed",
        imageVolumes: [],
        createSources: [],
        ...change.request,
      },
      bound,
    );
    this.#leaves.push(...leavesOf(created.shimPid));
    const exit = new Promise<ExitRecord>((resolve) => connection.onExit(resolve));
    const container = {
      id,
      folder,
      created,
      shim: connection,
      exit,
      logPath,
      recordPath,
      logLines: () => logLinesOf(logPath),
    };
    this.#containers.push(container);
    return container;
  }

  /** Makes, starts and waits; returns how it ended and what it wrote. */
  async run(
    args: readonly string[],
    change: SpecChange = {},
  ): Promise<{ record: ExitRecord; lines: string[] }> {
    const container = await this.create(args, change);
    await container.shim.start(wait);
    const record = await container.exit;
    return { record, lines: container.logLines() };
  }

  /** Expects that it can't be made; returns the id that it had. */
  async createFails(
    args: readonly string[],
    change: SpecChange,
    expected: { readonly message: RegExp },
  ): Promise<string> {
    const before = new Set(readdirSync(this.folder));
    await assert.rejects(this.create(args, change), expected);
    return readdirSync(this.folder).find((name) => !before.has(name) && /^[0-9a-f]{16}$/.test(name)) ?? "";
  }

  /** Runs a shell script. */
  async sh(script: string, change: SpecChange = {}): Promise<{ record: ExitRecord; lines: string[] }> {
    return await this.run(["/bin/sh", "-c", script], change);
  }

  /** Runs a script in a container as an added process; returns all that it wrote. */
  async exec(container: TestContainer, script: string, capabilities?: SpecCapabilities): Promise<string> {
    let seen = "";
    const keep = (bytes: Buffer): void => {
      seen += bytes.toString();
    };
    const session = await container.shim.exec(
      {
        process: {
          args: ["/bin/sh", "-c", script],
          cwd: "/",
          env: ["PATH=/bin"],
          user: { uid: 0, gid: 0 },
          ...(capabilities === undefined ? {} : { capabilities }),
        },
        stdin: "closed",
        timeoutMs: 0,
        drainMs: 1000,
      },
      { onStdout: keep, onStderr: keep },
      wait,
    );
    await session.exit;
    return seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { shim } of this.#containers) await shim.delete(wait).catch(() => undefined);
    await this.launcher.shutdown(wait);
    for (const leaf of this.#leaves) await removeLeaf(leaf);
    rmSync(this.folder, { recursive: true, force: true });
    removeEmptyParents();
  }
}

/** Processes of a host's launcher and shims that call themselves so (comm of proc_pid_comm(5)). */
export function processesNamed(host: TestHost, name: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      try {
        const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return (
          args[3] === join(host.folder, "launcher") &&
          readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name &&
          isAlive(pid)
        );
      } catch {
        return false;
      }
    });
}

/** The cgroups that a shim is in, below where the launcher has its own. */
function leavesOf(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/cgroup`, "utf8").split("\n");
  return lines.flatMap((line) => /:(\/berth-shims\/.+)$/.exec(line)?.[1] ?? []);
}

/** A shim can't remove the v2 cgroup that it ends in; the next launcher would, but here is none. */
async function removeLeaf(path: string): Promise<void> {
  for (const root of ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"]) {
    const leaf = `${root}${path}`;
    for (let tries = 100; tries > 0 && existsSync(leaf); tries--) {
      try {
        rmdirSync(leaf);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

/** The cgroup that all containers of these tests lie in, where no other suite has one any more. */
function removeEmptyParents(): void {
  const root = "/sys/fs/cgroup";
  for (const folder of [root, ...readdirSync(root).map((name) => join(root, name))]) {
    try {
      rmdirSync(join(folder, "berth-test"));
    } catch {
      // Not a hierarchy, not there, or in use.
    }
  }
}

/** Waits until the log has a line of this form: what a container writes first may come after its first exec. */
export async function untilLogged(container: TestContainer, form: RegExp): Promise<string[]> {
  const deadline = Date.now() + wait.timeoutMs;
  for (;;) {
    const lines = container.logLines();
    if (lines.some((line) => form.test(line))) return lines;
    if (Date.now() > deadline) assert.fail(`no line like ${String(form)} in ${JSON.stringify(lines)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Lines of a CRI log as `stream tag text`. */
export function logLinesOf(path: string): string[] {
  const text = readFileSync(path, "utf8");
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => line.slice(line.indexOf(" ") + 1));
}

/** A root file system of busybox, but for the named folders. */
export function makeRootfs(path: string, without: readonly string[] = []): void {
  for (const name of ["bin", "etc", "proc", "sys", "dev", "tmp", "var", "root"]) {
    if (!without.includes(name)) mkdirSync(join(path, name), { recursive: true });
  }
  copyFileSync("/bin/busybox", join(path, "bin/busybox"));
  for (const applet of applets) symlinkSync("busybox", join(path, "bin", applet));
  writeFileSync(join(path, "etc/passwd"), "root:x:0:0::/root:/bin/sh\n");
}

const applets = (
  "awk base64 cat chmod chroot cp cut date dd echo env false find grep head hostname id ip kill ln ls mkdir mknod mount " +
  "mv nc nproc ps readlink rm seq setsid sh sleep sort stat stty sync tail tee test touch tr true tty umount uname wc " +
  "whoami xargs yes su"
).split(" ");

const capabilities = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FOWNER",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
  "CAP_SETGID",
  "CAP_SETUID",
];

/** Mounts of a plain container. */
export const plainMounts: readonly SpecMount[] = [
  { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
  },
  { destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"] },
  { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
  {
    destination: "/sys/fs/cgroup",
    type: "cgroup",
    source: "cgroup",
    options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
  },
];

function specOf(id: string, args: readonly string[], change: SpecChange): Spec {
  return {
    ociVersion: "1.2.0",
    root: { path: "rootfs", ...change.root },
    process: {
      cwd: "/",
      args,
      env: ["PATH=/usr/bin:/bin", "TERM=xterm"],
      user: { uid: 0, gid: 0 },
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: true,
      ...change.process,
    },
    mounts: [...plainMounts, ...(change.mounts ?? [])],
    linux: {
      cgroupsPath: `/berth-test/${id}`,
      namespaces: (["pid", "network", "mount", "ipc", "uts", "cgroup"] as const).map((type) => ({ type })),
      resources: { devices: [{ allow: true, access: "rwm" }] },
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
      ...change.linux,
    },
    ...change.spec,
  };
}
