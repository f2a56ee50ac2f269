import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "./requests.ts";
import type { World } from "./world.ts";

/** What pods and containers leave traces in: compared before and after, it must be the same. */
export interface Leftovers {
  readonly mounts: readonly string[];
  readonly links: readonly string[];
  readonly namespaces: readonly string[];
  readonly cgroups: readonly string[];
  readonly processes: readonly string[];
  readonly files: readonly string[];
}

/** A pod's link that is off its bridge vanishes up to a second after the answer: the kernel takes its time. */
const detachedLinks = "ip -o link show type veth | grep -v ' master ' || true";

/** Looks at a world from inside, once what is on its way out is gone. Names that differ from look to look (process ids) are left out. */
export async function leftovers(world: World): Promise<Leftovers> {
  const lines = async (script: string): Promise<string[]> => {
    const text = await world.must("sh", "-c", script);
    return text
      .split("\n")
      .filter((line) => line !== "")
      .toSorted();
  };
  await eventually(
    async () => ((await world.must("sh", "-c", detachedLinks)) === "" ? true : undefined),
    "deleted links to be gone",
  );
  return {
    mounts: await lines("cut -d' ' -f5 /proc/self/mountinfo"),
    links: await lines("ip -o link | sed 's/^[0-9]*: //; s/[@:].*//'"),
    namespaces: await lines("ls /run/netns /run/berth/pins"),
    cgroups: await lines(`find /sys/fs/cgroup -type d -path '*${world.cgroupParent}/*'`),
    // A daemon always has a shim forked ahead, but for a moment after one was taken.
    processes: await lines("ps -eo comm= | grep -v -E '^(ps|sh|sort|grep|berth-spare)$' || true"),
    files: [
      ...(await lines("ls /run/berth/pods /run/berth/containers")),
      ...(await readdir(join(world.folder, "root/containers")).catch(() => [])),
    ],
  };
}
