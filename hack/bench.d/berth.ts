import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { credentials } from "@grpc/grpc-js";
import { loadServices } from "../../src/cri/definition.ts";
import type { LayerSidecar } from "../../src/images/layers.ts";
import { World } from "../../test/harness/world.ts";
import type { PullImage } from "./pull-images.ts";
import { conflist, startDaemon, type Runtime, type Scope } from "./runtime.ts";

const project = join(import.meta.dirname, "../..");

/** Starts this checkout's berthd, as built. */
export async function startBerth(archive: string, scope: Scope): Promise<Runtime> {
  const world = scope.undo.use(await World.create());
  const { folder } = world;
  await mkdir(join(folder, "cni"));
  await world.file("cni/10-bench.conflist", conflist(join(folder, "addresses")));
  const socket = join(folder, "berth.sock");
  const started = await startDaemon(
    world,
    socket,
    join(project, "node_modules/.bin/node"),
    [
      ...[...nodeFlags(), join(project, "dist/main.js")],
      ...["--root", join(folder, "root"), "--state", "/run/berth", "--socket", socket],
      ...["--cni-conf-dir", join(folder, "cni"), "--cgroup-parent", `${world.cgroupParent}/pods`],
    ],
    scope,
  );
  await importArchive(socket, archive);
  const { runtime_version } = await started.runtime.Version({});
  const leftOf = async ({ layers }: PullImage): Promise<string[]> => {
    const kept = await keptLayers(join(folder, "root/layers"));
    return layers.map(({ diffId }) => diffId).filter((diffId) => kept.has(diffId));
  };
  return { ...started, name: "berth", version: `Berth ${runtime_version}`, world, leftOf };
}

/** Diff ids of the layers in a store. */
async function keptLayers(folder: string): Promise<ReadonlySet<string>> {
  const names = await readdir(folder);
  const sidecars = await Promise.all(names.map((name) => readFile(join(folder, name, "layer.json"), "utf8")));
  return new Set(sidecars.map((text) => (JSON.parse(text) as LayerSidecar).layer.diffId));
}

/** Flags for the daemon's Node, such as --cpu-prof. */
function nodeFlags(): string[] {
  return (process.env["BERTH_BENCH_NODE_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "");
}

async function importArchive(socket: string, archive: string): Promise<void> {
  const services = loadServices();
  const admin = new services.berth.v1.Admin(`unix:${socket}`, credentials.createInsecure());
  try {
    await new Promise<void>((resolve, reject) => {
      const call = admin.ImportImage((error: Error | null) => {
        if (error === null) resolve();
        else reject(error);
      });
      const source = createReadStream(archive, { highWaterMark: 1024 * 1024 });
      source.on("data", (data) => call.write({ reference: "", data: Buffer.from(data) }));
      source.on("end", () => {
        call.end();
      });
      source.on("error", reject);
    });
  } finally {
    admin.close();
  }
}
