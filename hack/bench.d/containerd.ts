import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { World } from "../../test/harness/world.ts";
import { pauseImage } from "./archive.ts";
import type { Peer } from "./options.ts";
import type { PullImage } from "./pull-images.ts";
import { conflist, startDaemon, type Runtime, type Scope } from "./runtime.ts";

/** Where the v2 half of a hybrid hierarchy is mounted. */
const hybridHalf = "/sys/fs/cgroup/unified";

/** Fetches the peers' programs where they are not there yet; the folder that they lie in. */
export async function fetchPeers(): Promise<string> {
  const { stdout } = await promisify(execFile)(join(import.meta.dirname, "fetch-peers"), []);
  return stdout.trim();
}

/** Starts a containerd of Debian's with one of its OCI runtimes. */
export async function startContainerd(
  peer: Peer,
  programs: string,
  archive: string,
  scope: Scope,
): Promise<Runtime> {
  const ociRuntime = peer === "containerd-crun" ? "crun" : "runc";
  const world = scope.undo.use(await World.create());
  const { folder } = world;
  await mkdir(join(folder, "cni"));
  await world.file("cni/10-bench.conflist", conflist(join(folder, "addresses")));
  const config = await world.file("config.toml", configText(folder, programs, ociRuntime));
  // crun refuses a hybrid hierarchy whose v2 half lists any controller: it is hidden from this world, mount by mount.
  if (ociRuntime === "crun")
    await world.must("sh", "-c", `while mountpoint -q ${hybridHalf}; do umount ${hybridHalf}; done`);
  const socket = join(folder, "containerd.sock");
  const started = await startDaemon(
    world,
    socket,
    "env",
    [
      `PATH=${programs}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
      // iptables of the same suite, which portmap runs, needs its own extensions.
      `XTABLES_LIBDIR=${programs}/lib/xtables`,
      ...[`${programs}/bin/containerd`, "-c", config],
    ],
    scope,
  );
  const ctr = (...args: readonly string[]): Promise<string> =>
    world.must(`${programs}/bin/ctr`, "-a", socket, "-n", "k8s.io", ...args);
  await ctr("images", "import", archive);
  const { runtime_version } = await started.runtime.Version({});
  const version = `containerd ${runtime_version} with ${ociRuntime} ${await packageVersion(programs, ociRuntime)}`;
  const leftOf = async (image: PullImage): Promise<string[]> => {
    const kept = `${await ctr("content", "ls", "-q")}${await ctr("snapshots", "ls")}`;
    return [...image.layers.map(({ digest }) => digest), ...chainIds(image)].filter((id) =>
      kept.includes(id),
    );
  };
  return { ...started, name: peer, version, world, leftOf };
}

/** What containerd's unpacked layers are called (OCI image spec, config.md#layer-chainid). */
function chainIds({ layers }: PullImage): string[] {
  const ids: string[] = [];
  for (const { diffId } of layers) {
    const below = ids.at(-1);
    const both = `${below ?? ""} ${diffId}`;
    ids.push(below === undefined ? diffId : `sha256:${createHash("sha256").update(both).digest("hex")}`);
  }
  return ids;
}

async function packageVersion(programs: string, name: string): Promise<string> {
  const versions = await readFile(join(programs, "versions"), "utf8");
  return new RegExp(`^${name} (\\S+)$`, "m").exec(versions)?.[1] ?? "of unknown version";
}

/** containerd's defaults, with every path inside the world, and without NRI, which Berth has not either. */
function configText(folder: string, programs: string, ociRuntime: string): string {
  return `version = 3
root = '${folder}/root'
state = '/run/containerd'
oom_score = 0
[grpc]
  address = '${folder}/containerd.sock'
[plugins]
  [plugins.'io.containerd.internal.v1.opt']
    path = '${folder}/opt'
  [plugins.'io.containerd.nri.v1.nri']
    disable = true
  [plugins.'io.containerd.cri.v1.images']
    snapshotter = 'overlayfs'
    [plugins.'io.containerd.cri.v1.images'.pinned_images]
      sandbox = '${pauseImage}'
  [plugins.'io.containerd.cri.v1.runtime']
    restrict_oom_score_adj = true
    [plugins.'io.containerd.cri.v1.runtime'.cni]
      bin_dirs = ['${programs}/cni']
      conf_dir = '${folder}/cni'
    [plugins.'io.containerd.cri.v1.runtime'.containerd]
      default_runtime_name = '${ociRuntime}'
      [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.${ociRuntime}]
        runtime_type = 'io.containerd.runc.v2'
        runtime_path = '${programs}/bin/containerd-shim-runc-v2'
        [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.${ociRuntime}.options]
          BinaryName = '${programs}/bin/${ociRuntime}'
          SystemdCgroup = false
`;
}
