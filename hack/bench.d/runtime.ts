import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { credentials } from "@grpc/grpc-js";
import { loadServices } from "../../src/cri/definition.ts";
import type { ImageServiceClient } from "../../src/cri/types/runtime/v1/ImageService.ts";
import type { RuntimeServiceClient } from "../../src/cri/types/runtime/v1/RuntimeService.ts";
import { promises, type Promised } from "../../test/harness/promises.ts";
import type { World } from "../../test/harness/world.ts";
import { CpuMeter } from "./cgroup.ts";
import type { PullImage } from "./pull-images.ts";

/** A runtime that serves the CRI in a world of its own, with the bench's image in its store. */
export interface Runtime extends Started {
  readonly name: string;
  /** What it is, for people. */
  readonly version: string;
  readonly world: World;
  /** Digests of an image's blobs and layers that are still in its store. */
  leftOf(image: PullImage): Promise<readonly string[]>;
}

/** How long a daemon may take until it says that it is ready. */
const readyTimeoutMs = 30_000;
const maxLastWords = 2_000;

/** The network list of every runtime: a bridge, addresses from host-local, a default route, ports of the host; no NAT. */
export function conflist(dataDir: string): string {
  return JSON.stringify({
    cniVersion: "1.0.0",
    name: "bench",
    plugins: [
      {
        type: "bridge",
        bridge: "bench0",
        isGateway: true,
        ipMasq: false,
        ipam: {
          type: "host-local",
          dataDir,
          ranges: [[{ subnet: "10.88.0.0/16" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
}

/** What a run has made, to be undone in the opposite order, and what cuts it short. */
export interface Scope {
  readonly undo: AsyncDisposableStack;
  readonly signal: AbortSignal;
}

/** A started daemon, its clients and what ends them. */
export interface Started {
  readonly runtime: Promised<RuntimeServiceClient>;
  readonly images: Promised<ImageServiceClient>;
  readonly socket: string;
  readonly cpu: CpuMeter;
  /** The daemon's, outside of its namespaces. */
  readonly pid: number;
  /** The daemon's log, for when a step fails. */
  readonly logFile: string;
}

/** Starts a daemon in the world and waits until it says that runtime and network are ready. */
export async function startDaemon(
  world: World,
  socket: string,
  program: string,
  args: readonly string[],
  { undo, signal }: Scope,
): Promise<Started> {
  const logFile = join(world.folder, "daemon.log");
  const log = await open(logFile, "a");
  // A Ctrl-C is ours alone: the world ends the daemon.
  const child = world.spawn(program, args, { stdio: ["ignore", log.fd, log.fd], detached: true });
  await log.close();
  undo.defer(() => end(child));
  const services = loadServices();
  // What a client costs by itself is the same for all, and small.
  const options = { "grpc.max_receive_message_length": 16 * 1024 * 1024, "grpc.enable_channelz": 0 };
  const target = `unix:${socket}`;
  const runtime = new services.runtime.v1.RuntimeService(target, credentials.createInsecure(), options);
  const images = new services.runtime.v1.ImageService(target, credentials.createInsecure(), options);
  undo.defer(() => {
    runtime.close();
    images.close();
  });
  const cpu = new CpuMeter(world.cgroupParent);
  const started = { runtime: promises(runtime), images: promises(images), socket, cpu, logFile };
  await untilReady(started, child, signal);
  return { ...started, pid: await childOf(child.pid ?? 0) };
}

/** The one process that another has started: to enter a PID namespace takes one more. */
async function childOf(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim());
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

async function untilReady(
  { runtime, logFile }: Pick<Started, "runtime" | "logFile">,
  child: ChildProcess,
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + readyTimeoutMs;
  // The file goes with the world, so its end is told.
  const withLog = async (what: string): Promise<Error> =>
    new Error(`${what}; its last words:\n${(await readFile(logFile, "utf8")).slice(-maxLastWords)}`);
  let last = "no answer";
  for (;;) {
    await sleep(50);
    signal.throwIfAborted();
    if (child.exitCode !== null) throw await withLog(`the daemon ended with ${child.exitCode}`);
    if (Date.now() > deadline) throw await withLog(`the daemon is not ready: ${last}`);
    try {
      const { status } = await runtime.Status({}, { timeoutMs: 2_000 });
      const missing = (status?.conditions ?? []).filter((condition) => !condition.status);
      if (missing.length === 0) return;
      last = missing.map((condition) => `${condition.type}: ${condition.message}`).join("; ");
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
  }
}
