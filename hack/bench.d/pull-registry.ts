import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { World } from "../../test/harness/world.ts";
import { registryHost } from "./pull-images.ts";
import type { Served } from "./registry.ts";
import type { Scope } from "./runtime.ts";

/** A registry in a runtime's network. */
export interface Registry {
  /** What it was asked for since the last call. */
  count(): Promise<Served>;
}

const startTimeoutMs = 10_000;

/** Serves the images of a folder in the world's network; outside of its cgroups, so that it counts for no runtime. */
export async function startRegistry(world: World, folder: string, { undo }: Scope): Promise<Registry> {
  const program = join(import.meta.dirname, "registry.ts");
  const child = spawn(
    "nsenter",
    [`--net=${world.network}`, "--", process.execPath, program, folder, registryHost],
    { stdio: ["ignore", "inherit", "inherit", "ipc"], detached: true },
  );
  const ended = once(child, "exit");
  undo.defer(async () => {
    if (child.connected) child.disconnect();
    await ended;
  });
  const next = async (): Promise<unknown> => {
    const [message] = (await Promise.race([
      once(child, "message", { signal: AbortSignal.timeout(startTimeoutMs) }),
      ended.then(() => {
        throw new Error("the bench's registry ended");
      }),
    ])) as [unknown];
    return message;
  };
  await next();
  return {
    count: async () => {
      const counted = next();
      child.send("count");
      return (await counted) as Served;
    },
  };
}
