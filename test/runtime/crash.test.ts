import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { NamespaceMode } from "../../src/cri/types/runtime/v1/NamespaceMode.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, makeTestImage, podConfig, runPod, scriptConfig } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  // What was whole when the daemon died, and whose id nobody got, is undone soon and not in two minutes.
  daemon = bed.use(await TestDaemon.start(world, { flags: ["--unclaimed-timeout-ms", "1000"] }));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
});

after(() => bed.disposeAsync());

/** What shows after a moment, where what is killed may still be on its way out. */
async function sameLeftovers(clean: Awaited<ReturnType<typeof leftovers>>): Promise<void> {
  const same = eventually(async () => {
    const now = await leftovers(world);
    return JSON.stringify(now) === JSON.stringify(clean) ? true : undefined;
  }, "nothing to be left");
  await same.catch(async () => {
    assert.deepEqual(await leftovers(world), clean);
  });
}

/** Kills the daemon `afterMs` into `work`, whose own failure is expected then, and starts it again. */
async function crashDuring(
  work: Promise<unknown>,
  kill: () => Promise<void>,
  afterMs: number,
): Promise<void> {
  const settled = work.catch(() => undefined);
  await sleep(afterMs);
  await kill();
  await settled;
  await daemon.restart();
}

for (const [pid, network] of [
  ["CONTAINER", "POD"],
  ["POD", "POD"],
] as const satisfies readonly (readonly [keyof typeof NamespaceMode, keyof typeof NamespaceMode])[]) {
  test(`crash: at any moment of RunPodSandbox nothing half made remains, its name is free (pid ${pid})`, async () => {
    const clean = await leftovers(world);
    for (let round = 0; round < 8; round++) {
      const config = podConfig(daemon, {
        linux: { security_context: { namespace_options: { pid, network } } },
      });
      await crashDuring(runPod(daemon, config), await daemon.aim(), 2 + round * 6);
      const { items } = await daemon.runtime.ListPodSandbox({});
      for (const { id, state } of items) {
        assert.equal(state, "SANDBOX_READY", `round ${round}`);
        await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
      }
      await sameLeftovers(clean);
      const again = await runPod(daemon, config);
      await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: again });
    }
    await sameLeftovers(clean);
  });
}

test("crash: at any moment of CreateContainer and StartContainer nothing half made remains, its name is free", async () => {
  const empty = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const config = scriptConfig("exec sleep 1000");
    const request = { pod_sandbox_id: pod.id, config, sandbox_config: pod.config };
    // The pod's own cgroup comes with its first container.
    await daemon.runtime.RemoveContainer(await daemon.runtime.CreateContainer(request));
    const clean = await leftovers(world);
    for (let round = 0; round < 12; round++) {
      const starting = daemon.runtime
        .CreateContainer(request)
        .then((made) => daemon.runtime.StartContainer(made));
      await crashDuring(starting, await daemon.aim(), 2 + round * 7);
      const { containers } = await daemon.runtime.ListContainers({});
      for (const { id, state } of containers) {
        assert.ok(["CONTAINER_CREATED", "CONTAINER_RUNNING"].includes(state), `round ${round}: ${state}`);
        await daemon.runtime.RemoveContainer({ container_id: id });
      }
      await sameLeftovers(clean);
      await daemon.runtime.RemoveContainer(await daemon.runtime.CreateContainer(request));
    }
  }
  await sameLeftovers(empty);
});

test("crash: at any moment of stopping and removing, the next daemon can finish", async () => {
  const clean = await leftovers(world);
  for (let round = 0; round < 8; round++) {
    const pod = await TestPod.withNamespaces(daemon, { pid: round % 2 === 0 ? "POD" : "CONTAINER" });
    await pod.start("sleep 1000 & exec sleep 1000");
    const removing = daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod.id });
    await crashDuring(removing, await daemon.aim(), 1 + round * 5);
    await pod[Symbol.asyncDispose]();
    assert.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
    assert.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
    await sameLeftovers(clean);
  }
});

test("crash: a launcher killed while it makes pods and containers costs these calls alone", async () => {
  const clean = await leftovers(world);
  for (let round = 0; round < 6; round++) {
    const launcher = (await world.must("pgrep", "-ox", "berth-launcher")).trim();
    const making = Promise.allSettled([TestPod.run(daemon), TestPod.run(daemon)]);
    await sleep(round * 4);
    await world.must("kill", "-9", launcher);
    for (const made of await making) {
      if (made.status === "fulfilled") await made.value[Symbol.asyncDispose]();
    }
    await using pod = await TestPod.run(daemon);
    assert.equal(await pod.output("echo works"), "works\n");
  }
  await sameLeftovers(clean);
});
