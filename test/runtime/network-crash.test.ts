import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers, type Leftovers } from "../harness/leftovers.ts";
import { eventually, podConfig, runPod } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
/** A pod that lives through all of it. */
let neighbour: string;

/** A stage as far away as no job gets: nobody dies. */
const never = "never";

before(async () => {
  world = bed.use(await World.create());
  await writeFile(join(world.folder, "die-at"), never);
  await writeFile(join(world.folder, "stages"), "");
  const ipam = {
    type: "host-local",
    ranges: [[{ subnet: "10.88.0.0/24" }], [{ subnet: "fd88::/64" }]],
    dataDir: join(world.folder, "addresses"),
  };
  const conflist = JSON.stringify({
    cniVersion: "1.0.0",
    name: "pods",
    plugins: [
      { type: "bridge", bridge: "berth0", isGateway: true, isDefaultGateway: true, ipMasq: true, ipam },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
  const preload = join(import.meta.dirname, "../harness/die-at-stage.ts");
  // A pod that was whole when the daemon died, and whose id nobody got, is undone soon and not in two minutes.
  const flags = ["--unclaimed-timeout-ms", "1000"];
  daemon = bed.use(await TestDaemon.start(world, { conflist, preload, flags }));
  neighbour = await runPod(daemon, podConfig(daemon));
  // What the first pods make of rules and sets stays.
  await makeAndRemove();
});

after(() => bed.disposeAsync());

/** The life of a pod with a port on the host; what failed is told to nobody. */
async function makeAndRemove(): Promise<void> {
  const port_mappings = [{ protocol: "TCP", container_port: 80, host_port: 8080 }] as const;
  const pod_sandbox_id = await runPod(daemon, podConfig(daemon, { port_mappings: [...port_mappings] }));
  await daemon.runtime.StopPodSandbox({ pod_sandbox_id });
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id });
}

async function addressesOf(pod_sandbox_id: string): Promise<string[]> {
  const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id });
  const { ip = "", additional_ips = [] } = status?.network ?? {};
  return [ip, ...additional_ips.map((more) => more.ip)];
}

interface Traces extends Leftovers {
  readonly addresses: readonly string[];
  readonly rules: readonly string[];
}

/** What there is while the neighbour is alone: addresses and rules of pods' ports go behind the answer. */
async function settledTraces(): Promise<Traces> {
  const own = (await addressesOf(neighbour)).sort();
  return eventually(async () => {
    const now = await traces();
    const isAlone = now.addresses.join() === own.join();
    return isAlone && !now.rules.some((line) => line.includes("berth_ports_")) ? now : undefined;
  }, "the neighbour to be alone");
}

/** Everything that a pod's network leaves on the host. */
async function traces(): Promise<Traces> {
  const names = await readdir(join(world.folder, "addresses/pods"));
  return {
    addresses: names.filter((name) => /^[0-9a-f.:]+$/.test(name)).sort(),
    rules: (await world.must("nft", "--stateless", "list", "ruleset")).split("\n"),
    ...(await leftovers(world)),
  };
}

/** What a kubelet does after a crash: it takes away what it does not want, and goes on. */
async function goOn(clean: unknown, when: string): Promise<void> {
  const { items } = await daemon.runtime.ListPodSandbox({});
  for (const { id } of items) {
    if (id === neighbour) continue;
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: id });
    await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: id });
  }
  const taken = new Set(await addressesOf(neighbour));
  const pod = await runPod(daemon, podConfig(daemon));
  for (const ip of await addressesOf(pod)) assert.ok(!taken.has(ip), `${when}: ${ip} is given twice`);
  await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: pod });
  let now: unknown;
  const same = eventually(async () => {
    now = await traces();
    return JSON.stringify(now) === JSON.stringify(clean) ? true : undefined;
  }, "nothing to be left");
  await same.catch(() => {
    assert.deepEqual(now, clean, when);
  });
}

test("network crash: kill -9 at each stage of a pod's jobs leaks no address, rule, link or namespace", async (t) => {
  const clean = await settledTraces();
  await writeFile(join(world.folder, "stages"), "");
  await makeAndRemove();
  const stages = (await readFile(join(world.folder, "stages"), "utf8")).trim().split("\n");
  for (const expected of [
    "RunPodSandbox: cni bridge ADD begins",
    "RunPodSandbox: cni portmap ADD ended",
    "StopPodSandbox: cni bridge DEL ended",
    "RemovePodSandbox: files ended",
  ]) {
    assert.ok(stages.includes(expected), `no stage ${expected} among ${stages.join(", ")}`);
  }
  for (const stage of stages) {
    const ended = daemon.ended();
    await writeFile(join(world.folder, "die-at"), stage);
    await assert.rejects(makeAndRemove(), stage);
    await ended;
    await writeFile(join(world.folder, "die-at"), never);
    await daemon.restart();
    await goOn(clean, stage);
  }
  t.diagnostic(`${stages.length} stages: ${stages.join(", ")}`);
});

test("network crash: so does kill -9 at random moments", async () => {
  const clean = await settledTraces();
  for (let round = 0; round < 8; round += 1) {
    const afterMs = Math.random() * 80;
    const kill = await daemon.aim();
    const work = makeAndRemove().catch(() => undefined);
    await sleep(afterMs);
    await kill();
    await work;
    await daemon.restart();
    await goOn(clean, `after ${afterMs} ms`);
  }
});
