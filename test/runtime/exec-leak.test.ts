import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** Open files of a process, and its proportional share of memory in kB (proc_pid_smaps(5)). */
async function holdings(pid: string): Promise<{ readonly files: number; readonly pssKb: number }> {
  const files = await world.must("sh", "-c", `ls /proc/${pid}/fd | wc -l`);
  const rollup = await world.must("cat", `/proc/${pid}/smaps_rollup`);
  return { files: Number(files), pssKb: Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1]) };
}

test("exec leak: commands leave files and memory of daemon and shim where they were", async () => {
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const id = await pod.start("exec sleep 1000");
    const shim = (await world.must("ps", "-C", "berth-shim", "-o", "pid=")).trim();
    const daemonPid = String(await daemon.pid());
    const both = async () => ({ daemon: await holdings(daemonPid), shim: await holdings(shim) });
    await run(id, 5);
    const processes = (await leftovers(world)).processes;
    const before = await both();
    await run(id, 100);
    const { pssKb } = await holdings(shim);
    assert.ok(pssKb <= before.shim.pssKb * 1.1, `shim: ${before.shim.pssKb} kB, then ${pssKb} kB`);
    await Promise.all(Array.from({ length: 10 }, () => run(id, 10)));
    // Connections of the last commands close in their own time.
    await eventually(
      async () => {
        const now = await both();
        const closed = now.daemon.files <= before.daemon.files && now.shim.files <= before.shim.files;
        return closed ? true : undefined;
      },
      `files to be closed, ${JSON.stringify(before)}`,
    );
    assert.deepEqual((await leftovers(world)).processes, processes);
  }
  assert.deepEqual(await leftovers(world), clean);
});

async function run(id: string, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const { stdout, code } = await execSync(daemon, id, "sh", "-c", "echo out; exit 3");
    assert.deepEqual([stdout, code], ["out\n", 3]);
  }
}
