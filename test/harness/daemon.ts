import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { loadServices } from "../../src/cri/definition.ts";
import type { AdminClient } from "../../src/cri/types/berth/v1/Admin.ts";
import type { ImageServiceClient } from "../../src/cri/types/runtime/v1/ImageService.ts";
import type { RuntimeServiceClient } from "../../src/cri/types/runtime/v1/RuntimeService.ts";
import { promises, type Promised } from "./promises.ts";
import type { CommandResult, World } from "./world.ts";

const project = join(import.meta.dirname, "../..");

/** The pinned Node, and the daemon as `npm run build` made it. */
const node = join(project, "node_modules/.bin/node");
const program = join(project, "dist/main.js");

/** How long a daemon may take until it serves. */
const readyTimeoutMs = 20_000;

/** A network list for tests: bridge and host-local, both built in. */
export const testConflist = JSON.stringify({
  cniVersion: "1.0.0",
  name: "test-net",
  plugins: [
    {
      type: "bridge",
      bridge: "berth0",
      isGateway: true,
      ipMasq: false,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.88.0.0/16" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
  ],
});

/** What a test wants of its daemon beyond the usual. */
export interface DaemonOptions {
  /** Added after the harness's own flags; of two with the same name the later one counts. */
  readonly flags?: readonly string[];
  /** The text of the network list; `none` is no network, absent is {@link testConflist}. */
  readonly conflist?: string;
  /** The main.js of another build. */
  readonly program?: string;
  /** A module that is loaded into the daemon before its own; it gets the world's folder as BERTH_TEST_STAGES. */
  readonly preload?: string;
}

/** A berthd inside a world, and clients for its socket. */
export class TestDaemon implements AsyncDisposable {
  readonly world: World;
  readonly socket: string;
  readonly runtime: Promised<RuntimeServiceClient>;
  readonly images: Promised<ImageServiceClient>;
  readonly admin: Promised<AdminClient>;
  readonly rawAdmin: AdminClient;
  readonly #close: () => void;
  readonly #flags: readonly string[];
  readonly #preload: readonly string[];
  #program: string;
  #process: ChildProcess;
  #log = "";

  private constructor(world: World, socket: string, options: DaemonOptions) {
    this.world = world;
    this.socket = socket;
    this.#flags = options.flags ?? [];
    this.#preload = options.preload === undefined ? [] : ["--import", options.preload];
    this.#program = options.program ?? program;
    const services = loadServices();
    const limits = {
      "grpc.max_receive_message_length": 16 * 1024 * 1024,
      // A daemon that is started again serves within half a second; the default waits longer between two looks.
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 100,
    };
    const target = `unix:${socket}`;
    const runtime = new services.runtime.v1.RuntimeService(target, credentials.createInsecure(), limits);
    const images = new services.runtime.v1.ImageService(target, credentials.createInsecure(), limits);
    const admin = new services.berth.v1.Admin(target, credentials.createInsecure(), limits);
    this.runtime = promises(runtime);
    this.images = promises(images);
    this.admin = promises(admin);
    this.rawAdmin = admin;
    this.#close = () => {
      runtime.close();
      images.close();
      admin.close();
    };
    this.#process = this.#spawn();
  }

  /** Starts a daemon in a world and waits until it serves. */
  static async start(world: World, options: DaemonOptions = {}): Promise<TestDaemon> {
    const conf = join(world.folder, "cni");
    await mkdir(conf, { recursive: true });
    const { conflist = testConflist } = options;
    if (conflist !== "none") await writeFile(join(conf, "10-test.conflist"), conflist);
    const daemon = new TestDaemon(world, join(world.folder, "berth.sock"), options);
    try {
      await daemon.#untilReady();
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  /** Runs a daemon that is expected to end by itself, such as one that refuses to start. */
  static async refuse(world: World, flags: readonly string[] = []): Promise<CommandResult> {
    return world.run(node, [program, ...commonFlags(world), ...flags]);
  }

  /** What the daemon has written to standard error so far. */
  get log(): string {
    return this.#log;
  }

  /** The process id on the host of the daemon itself. */
  async pid(): Promise<number> {
    const { json } = await this.admin.Info({});
    return (JSON.parse(json) as { pid: number }).pid;
  }

  /** Ends the daemon by a signal and waits for its end. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const pid = await this.pid();
    const ended = once(this.#process, "exit");
    await this.world.must("kill", `-${signal.slice(3)}`, String(pid));
    await ended;
  }

  /** Waits for the end of the daemon that runs now. */
  async ended(): Promise<void> {
    await once(this.#process, "exit");
  }

  /** Makes ready to kill the daemon at a moment: what is returned sends SIGKILL at once and waits for its end. */
  async aim(): Promise<() => Promise<void>> {
    const nsenter = this.#process.pid ?? 0;
    const pid = Number(await readFile(`/proc/${nsenter}/task/${nsenter}/children`, "utf8"));
    const ended = once(this.#process, "exit");
    return async () => {
      process.kill(pid, "SIGKILL");
      await ended;
    };
  }

  /** Starts a daemon again on the same folders, of another build where `build` names its main.js. */
  async restart(build: string = this.#program): Promise<void> {
    this.#program = build;
    this.#process = this.#spawn();
    await this.#untilReady();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    const ended =
      this.#process.exitCode === null && this.#process.signalCode === null
        ? once(this.#process, "exit")
        : undefined;
    this.#process.kill("SIGKILL");
    await ended;
  }

  #spawn(): ChildProcess {
    const args = [...this.#preload, this.#program, ...commonFlags(this.world), ...this.#flags];
    const child = this.world.spawn(node, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, BERTH_TEST_STAGES: this.world.folder },
    });
    child.stderr?.on("data", (part: Buffer) => {
      this.#log += part.toString("utf8");
    });
    return child;
  }

  async #untilReady(): Promise<void> {
    const deadline = Date.now() + readyTimeoutMs;
    for (;;) {
      if (this.#process.exitCode !== null) throw new Error(`berthd ended: ${this.#log}`);
      try {
        await this.runtime.Version({});
        return;
      } catch (error) {
        if (Date.now() > deadline) {
          throw new Error(`berthd does not serve: ${String(error)}\n${this.#log}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}

/** Everything of a daemon lies in its world. */
function commonFlags(world: World): readonly string[] {
  return [
    ...["--root", join(world.folder, "root"), "--state", "/run/berth"],
    ...["--socket", join(world.folder, "berth.sock")],
    ...["--cni-conf-dir", join(world.folder, "cni"), "--cgroup-parent", world.cgroupParent],
    ...["--log-level", "debug"],
  ];
}
