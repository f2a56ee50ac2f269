import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openStore } from "../../src/store/index.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { makeTestImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
});

after(() => bed.disposeAsync());

/** Spoils a record while no daemon is there to mind. */
async function damage(table: "pods" | "containers", id: string): Promise<void> {
  await daemon.end("SIGKILL");
  const store = await openStore(join(world.folder, "root/store"));
  await store.write([{ kind: "put", key: `${table}/${id}`, value: "{" }], "memory");
  await store.close();
  await daemon.restart();
}

test("damaged record: the container that it was of is killed and leaves nothing, its pod goes on", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    // With its first container a pod gets a cgroup.
    await daemon.runtime.RemoveContainer({ container_id: await pod.create("true") });
    const withPod = await leftovers(world);
    const id = await pod.start("exec sleep 1000");
    await damage("containers", id);
    assert.match(daemon.log, new RegExp(`a record is damaged and left out.*${id}`));
    assert.deepEqual((await daemon.runtime.ListContainers({})).containers, []);
    assert.deepEqual(await leftovers(world), withPod);
    assert.equal(await pod.output("echo on we go"), "on we go\n");
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("damaged record: a pod goes with its containers, network and namespaces", async () => {
  const clean = await leftovers(world);
  const pod = await TestPod.withNamespaces(daemon, { pid: "POD" });
  await pod.start("exec sleep 1000");
  await damage("pods", pod.id);
  assert.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  assert.deepEqual(await leftovers(world), clean);
});
