import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { loadServices } from "../../src/cri/definition.ts";
import type { AdminClient } from "../../src/cri/types/berth/v1/Admin.ts";
import type { ImageServiceClient } from "../../src/cri/types/runtime/v1/ImageService.ts";
import type { RuntimeServiceClient } from "../../src/cri/types/runtime/v1/RuntimeService.ts";
import { promises, type Promised } from "./promises.ts";
import type { World } from "./world.ts";

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

/** A berthd inside a world, and clients for its socket. */
export class TestDaemon implements AsyncDisposable {
  readonly world: World;
  readonly socket: string;
  readonly runtime: Promised<RuntimeServiceClient>;
  readonly images: Promised<ImageServiceClient>;
  readonly admin: Promised<AdminClient>;
  readonly rawAdmin: AdminClient;
  readonly #close: () => void;
  #process: ChildProcess;
  #log = "";

  private constructor(world: World, socket: string) {
    this.world = world;
    this.socket = socket;
    const services = loadServices();
    const options = { "grpc.max_receive_message_length": 16 * 1024 * 1024 };
    const target = `unix:${socket}`;
    const runtime = new services.runtime.v1.RuntimeService(target, credentials.createInsecure(), options);
    const images = new services.runtime.v1.ImageService(target, credentials.createInsecure(), options);
    const admin = new services.berth.v1.Admin(target, credentials.createInsecure(), options);
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

  /** Starts a daemon in a world and waits until it serves; `flags` are added to its own. */
  static async start(world: World): Promise<TestDaemon> {
    await mkdir(join(world.folder, "cni"), { recursive: true });
    await writeFile(join(world.folder, "cni/10-test.conflist"), testConflist);
    const daemon = new TestDaemon(world, join(world.folder, "berth.sock"));
    await daemon.#untilReady();
    return daemon;
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

  /** Starts a daemon again on the same folders. */
  async restart(): Promise<void> {
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
    const { folder } = this.world;
    const child = this.world.spawn(
      node,
      [
        program,
        ...["--root", join(folder, "root"), "--state", "/run/berth", "--socket", this.socket],
        ...["--cni-conf-dir", join(folder, "cni"), "--cgroup-parent", this.world.cgroupParent],
        ...["--log-level", "debug"],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
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
        if (Date.now() > deadline) throw new Error(`berthd does not serve: ${String(error)}\n${this.#log}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}
