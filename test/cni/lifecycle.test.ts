import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";
import { hasCode } from "../../src/core/errors.ts";
import { newPodId } from "../../src/core/ids.ts";
import { openPodNetworks, type PodNetworks } from "../../src/cni/index.ts";
import { openStore } from "../../src/store/index.ts";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

await enterPrivateNetwork();

test("lifecycle: DEL twice, and DEL of what never was", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]));
  const pod = makePod();
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  assert.deepEqual(fixture.networks.addresses(pod.id)?.ips, ["10.91.0.2"]);
  await fixture.networks.check(pod.id, undefined, soon());
  await fixture.networks.detach(pod.id, makeJob(), soon());
  await fixture.networks.detach(pod.id, makeJob(), soon());
  await fixture.networks.detach(newPodId(), undefined, soon());
  assert.deepEqual(await fixture.reserved("net-cni1"), []);
  assert.deepEqual((await hostLinks()).sort(), ["cni1", "lo"]);
  assert.equal(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), "");
  assert.deepEqual(fixture.warnings, []);
});

test(
  "lifecycle: DEL cuts the pod off before it answers, and frees the address only when the link is gone",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using namespace = await makeNamespace();
    await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]));
    const pod = makePod();
    await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
    await fixture.networks.detach(pod.id, undefined, soon());
    assert.equal(await output("ip", "link", "show", "master", "cni1", "up"), "");
    for (let tries = 0; (await fixture.reserved("net-cni1")).length > 0; tries += 1) {
      assert.ok(tries < 200, "the address was not freed");
      await sleep(10);
    }
    assert.deepEqual((await hostLinks()).sort(), ["cni1", "lo"]);
  },
);

test("lifecycle: DEL when the namespace is gone, and when only its file is left", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]));
  const [gone, left] = [makePod(), makePod()];
  const pin = join(fixture.folder, "pin");
  {
    await using namespace = await makeNamespace();
    await fixture.networks.attach(gone, namespace.path, makeJob(), soon());
  }
  await fixture.networks.detach(gone.id, undefined, soon());
  {
    await using namespace = await makeNamespace();
    await writeFile(pin, "");
    await output("mount", "--bind", namespace.path, pin);
    await fixture.networks.attach(left, pin, makeJob(), soon());
    await output("umount", pin);
  }
  await fixture.networks.detach(left.id, undefined, soon());
  await fixture.restart();
  assert.deepEqual(await fixture.reserved("net-cni1"), []);
  assert.deepEqual(fixture.networks.entries(), []);
  assert.deepEqual(fixture.warnings, []);
});

test("lifecycle: a namespace that is not there is named, and nothing is left", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]));
  const path = join(fixture.folder, "absent");
  await assert.rejects(fixture.networks.attach(makePod(), path, makeJob(), soon()), {
    code: "ENOENT",
    path,
  });
  assert.deepEqual(fixture.networks.entries(), []);
});

test("lifecycle: without a configuration attach says why and records nothing", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await assert.rejects(
    fixture.networks.attach(makePod(), namespace.path, makeJob(), soon()),
    (error) => hasCode(error, "failed-precondition") && error.message.includes(fixture.confDir),
  );
  assert.deepEqual(fixture.networks.entries(), []);
  assert.equal(fixture.networks.status().ready, false);
});

test("lifecycle: a used-up subnet is named, and serves again after a DEL", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni2", ["10.92.0.0/29"]));
  const namespaces = await Promise.all(Array.from({ length: 6 }, makeNamespace));
  const pods = namespaces.map(() => makePod());
  const attach = (index: number): Promise<unknown> =>
    fixture.networks.attach(pods[index] ?? makePod(), namespaces[index]?.path ?? "", makeJob(), soon());
  for (let index = 0; index < 5; index += 1) await attach(index);
  await assert.rejects(
    attach(5),
    (error) => hasCode(error, "resource-exhausted") && error.message.includes("10.92.0.1-10.92.0.6"),
  );
  await fixture.networks.detach(pods[2]?.id ?? "", undefined, soon());
  await fixture.restart();
  await attach(5);
  assert.deepEqual(fixture.networks.addresses(pods[5]?.id ?? "")?.ips, ["10.92.0.4"]);
  for (const { podId } of fixture.networks.entries()) await fixture.networks.detach(podId, undefined, soon());
  for (const namespace of namespaces) await namespace[Symbol.asyncDispose]();
});

/** Attaches one pod and never gets to tell: a plugin of the chain waits. */
const victimScript = `
  import { openPodNetworks } from ${JSON.stringify(new URL("../../src/cni/index.ts", import.meta.url).href)};
  import { openStore } from ${JSON.stringify(new URL("../../src/store/index.ts", import.meta.url).href)};
  const [folder, podId, netns] = process.argv.slice(1);
  const job = { id: "victim", signal: new AbortController().signal, stage: (_, work) => work(), note: () => {} };
  const networks = await openPodNetworks({
    confDir: folder + "/net.d", binDirs: [folder + "/bin"], store: await openStore(folder + "/victim-store"),
    environment: { PATH: process.env.PATH }, onInfo: () => {}, onWarning: console.error,
  });
  await networks.attach({ id: podId, name: "a", namespace: "b", uid: "c", portMappings: [] }, netns, job, AbortSignal.timeout(60000));
`;

test(
  "lifecycle: kill -9 at each place in the chain, then reconciliation leaves nothing",
  needsRoot,
  async () => {
    for (const position of [0, 1, 2]) {
      await using fixture = await makeFixture();
      await using namespace = await makeNamespace();
      const network = bridgeNetwork(fixture, "cni3", ["10.93.0.0/24"]);
      // A second plugin, so that there is a place between two.
      network.plugins.push({ type: "after" });
      network.plugins.splice(position, 0, { type: "blocker" });
      await fixture.configure(network);
      const reached = join(fixture.folder, "reached");
      await fixture.plugin("blocker", `[ $CNI_COMMAND = ADD ] || exit 0\necho $$ >${reached}; exec sleep 60`);
      await fixture.plugin(
        "after",
        `[ $CNI_COMMAND = ADD ] && echo '{"ips": [{"address": "10.93.0.2/24"}]}'; exit 0`,
      );
      const podId = newPodId();
      const victim = spawn(
        process.execPath,
        ["--input-type=module", "-e", victimScript, fixture.folder, podId, namespace.path],
        { stdio: "inherit" },
      );
      await waitForFile(reached);
      victim.kill("SIGKILL");
      await once(victim, "exit");
      process.kill(Number(await output("cat", reached)), "SIGKILL");
      assert.equal((await fixture.reserved("net-cni3").catch(() => [])).length, position === 0 ? 0 : 1);

      await using survivor = await openVictimStore(fixture.folder);
      assert.deepEqual(
        survivor.networks.entries().map((entry) => [entry.podId, entry.state]),
        [[podId, "intent"]],
      );
      for (const entry of survivor.networks.entries()) {
        await survivor.networks.detach(entry.podId, undefined, soon());
      }
      await survivor.networks[Symbol.asyncDispose]();
      assert.deepEqual(await fixture.reserved("net-cni3").catch(() => []), []);
      assert.deepEqual(
        (await hostLinks()).filter((name) => name.startsWith("veth")),
        [],
      );
      assert.equal(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), "");
    }
  },
);

test("lifecycle: garbage of pods without a record is collected", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure(bridgeNetwork(fixture, "cni4", ["10.94.0.0/24"]));
  const pod = makePod();
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  await writeFile(join(fixture.dataDir, "net-cni4", "10.94.0.99"), `${newPodId()}\r\neth0`);
  const job = makeJob();
  await fixture.networks.collectGarbage(job, soon());
  assert.deepEqual(await fixture.reserved("net-cni4"), ["10.94.0.2"]);
  assert.match(job.notes.join("\n"), /released 10\.94\.0\.99/);
  await fixture.networks.detach(pod.id, undefined, soon());
});

test(
  "lifecycle: garbage of programs, of networks that left the folder, and not where it is disabled",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using namespace = await makeNamespace();
    const calls = join(fixture.folder, "calls");
    await fixture.plugin(
      "main",
      `case $CNI_COMMAND in ADD) echo '{}';; GC) cat >>${calls}; echo >>${calls};; *) ;; esac`,
    );
    const gcCalls = async (): Promise<Record<string, unknown>[]> => {
      const text = await readFile(calls, "utf8").catch(() => "");
      await rm(calls, { force: true });
      return text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    };
    const network = { cniVersion: "1.1.0", name: "a", plugins: [{ type: "broken" }, { type: "main" }] };
    await fixture.plugin(
      "broken",
      `[ $CNI_COMMAND != GC ] || { echo '{"code": 100, "msg": "no"}'; exit 1; }; echo '{}'`,
    );
    await fixture.configure(network);
    const pod = makePod();
    await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
    await assert.rejects(fixture.networks.collectGarbage(undefined, soon()), /cni plugin broken GC: no/);
    const valid = [{ containerID: pod.id, ifname: "eth0" }];
    assert.deepEqual(await gcCalls(), [
      { cniVersion: "1.1.0", name: "a", type: "main", "cni.dev/valid-attachments": valid },
    ]);

    await fixture.plugin("broken", "echo '{}'");
    await fixture.configure({ ...network, name: "b", disableGC: true });
    await fixture.networks.collectGarbage(undefined, soon());
    assert.deepEqual(
      (await gcCalls()).map((call) => [call["name"], call["cni.dev/valid-attachments"]]),
      [["a", valid]],
    );
    await fixture.networks.detach(pod.id, undefined, soon());
    await fixture.restart();
    await fixture.networks.collectGarbage(undefined, soon());
    assert.deepEqual(
      (await gcCalls()).map((call) => [call["name"], call["cni.dev/valid-attachments"]]),
      [["a", []]],
    );
    await fixture.networks.collectGarbage(undefined, soon());
    assert.deepEqual(await gcCalls(), []);
  },
);

test(
  "lifecycle: the node's ranges, once told, are where capable plugins take addresses, also after a restart",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using namespace = await makeNamespace();
    const plugin = {
      type: "bridge",
      bridge: "cni6",
      isGateway: true,
      capabilities: { ipRanges: true },
      ipam: { type: "host-local", dataDir: fixture.dataDir },
    };
    await fixture.configure({ cniVersion: "1.0.0", name: "net-cni6", plugins: [plugin] });
    const attach = async (): Promise<readonly string[]> => {
      const pod = makePod();
      const { ips } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
      await fixture.networks.detach(pod.id, undefined, soon());
      return ips;
    };
    await assert.rejects(attach(), /no ranges/);
    await assert.rejects(fixture.networks.setPodCidrs("10.96.0.0"), /not an address with a prefix length/);
    await fixture.networks.setPodCidrs("10.96.0.0/24, fd96::/64");
    await fixture.restart();
    await fixture.networks.setPodCidrs("");
    assert.deepEqual(await attach(), ["10.96.0.2", "fd96::2"]);
  },
);

test(
  "lifecycle: many ADD and DEL, ten at a time, leave nothing and give no address twice",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    const network = bridgeNetwork(fixture, "cni5", ["10.95.0.0/24", "fd95::/64"], { ipMasq: true });
    network.plugins.push({ type: "portmap", capabilities: { portMappings: true } });
    await fixture.configure(network);
    const portMapping = { protocol: "tcp", containerPort: 80, hostIp: "" } as const;
    // The first pod's rules of masquerading stay; those of ports go with the last pod that has some, behind the answer.
    await using first = await makeNamespace();
    const firstPod = { ...makePod(), portMappings: [{ ...portMapping, hostPort: 8000 }] };
    await fixture.networks.attach(firstPod, first.path, makeJob(), soon());
    await fixture.networks.detach(firstPod.id, undefined, soon());
    const rules = await settledRules();
    // 2,000 in all, about 20 s on two cores; for more there is the variable.
    const rounds = Number(process.env["BERTH_TEST_ROUNDS"] ?? 200);
    const held = new Set<string>();
    const workers = Array.from({ length: 10 }, async (_, worker) => {
      await using namespace = await makeNamespace();
      // One pod over and over: what its DEL leaves for later is waited for by its next ADD.
      const pod = { ...makePod(), portMappings: [{ ...portMapping, hostPort: 8001 + worker }] };
      for (let round = 0; round < rounds; round += 1) {
        const { ips } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
        assert.equal(ips.length, 2);
        for (const ip of ips) {
          assert.ok(!held.has(ip), `${ip} is given twice`);
          held.add(ip);
        }
        for (const ip of ips) held.delete(ip);
        await fixture.networks.detach(pod.id, undefined, soon());
      }
    });
    // Collecting meanwhile takes nothing from anybody.
    const collected = fixture.networks.collectGarbage(undefined, AbortSignal.timeout(600_000));
    await Promise.all(workers);
    await collected;
    await fixture.restart();
    assert.deepEqual(await fixture.reserved("net-cni5"), []);
    assert.deepEqual(fixture.networks.entries(), []);
    assert.deepEqual(
      (await hostLinks()).filter((name) => name.startsWith("veth")),
      [],
    );
    assert.equal(await settledRules(), rules);
    assert.deepEqual(fixture.warnings, []);
  },
);

/** The rules once no pod's ports are among them. */
async function settledRules(): Promise<string> {
  for (let tries = 0; ; tries += 1) {
    const rules = await output("nft", "--stateless", "list", "ruleset");
    if (!rules.includes("berth_ports_")) return rules;
    if (tries > 1000) throw new Error(`rules of ports stay: ${rules}`);
    await sleep(10);
  }
}

async function waitForFile(path: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await access(path);
      return;
    } catch (error) {
      if (tries > 2000) throw error;
      await sleep(10);
    }
  }
}

/** Opens what the killed process had open. */
async function openVictimStore(folder: string): Promise<AsyncDisposable & { networks: PodNetworks }> {
  const store = await openStore(join(folder, "victim-store"));
  const networks = await openPodNetworks({
    confDir: join(folder, "net.d"),
    binDirs: [join(folder, "bin")],
    store,
    environment: { PATH: process.env["PATH"] ?? "" },
    onInfo: () => undefined,
    onWarning: () => undefined,
  });
  return { networks, [Symbol.asyncDispose]: () => store.close() };
}
