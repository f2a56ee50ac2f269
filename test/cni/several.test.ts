import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { NetworkedPod } from "../../src/cni/index.ts";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot } from "./namespaces.ts";
import { ask, hostLinks, serve } from "./traffic.ts";

await enterPrivateNetwork();

/** The pods' own network on cni1 in both families, and two more by name: net-cni2, net-cni3. */
async function makeNetworks(): Promise<NetworkFixture> {
  const fixture = await makeFixture(undefined, { additionalNetworks: "annotation" });
  const second = bridgeNetwork(fixture, "cni2", ["10.92.0.0/24"], {
    isDefaultGateway: false,
    capabilities: { ips: true, mac: true },
  });
  const third = bridgeNetwork(fixture, "cni3", ["10.93.0.0/24"], { isDefaultGateway: false });
  await writeFile(join(fixture.confDir, "20-second.conflist"), JSON.stringify(second));
  await writeFile(join(fixture.confDir, "30-third.conflist"), JSON.stringify(third));
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24", "fd91::/64"]));
  return fixture;
}

const asking = (networks: string): NetworkedPod => ({
  ...makePod(),
  annotations: { "k8s.v1.cni.cncf.io/networks": networks },
});

async function reserved(fixture: NetworkFixture): Promise<string[]> {
  const names = ["net-cni1", "net-cni2", "net-cni3"];
  const lists = await Promise.all(names.map((name) => fixture.reserved(name).catch(() => [])));
  return lists.flat();
}

async function veths(): Promise<string[]> {
  return (await hostLinks()).filter((name) => name.startsWith("veth"));
}

test(
  "several networks: a pod has them all, its status the first one's addresses, and all go with it",
  needsRoot,
  async () => {
    await using fixture = await makeNetworks();
    await using a = await makeNamespace();
    await using b = await makeNamespace();
    const [podA, podB] = [
      asking(
        '[{"name":"net-cni2","ips":["10.92.0.9"],"mac":"02:00:00:00:00:09"},{"name":"net-cni3","interface":"data"}]',
      ),
      asking("net-cni2"),
    ];
    const job = makeJob();
    const attached = await fixture.networks.attach(podA, a.path, job, soon());
    await fixture.networks.attach(podB, b.path, makeJob(), soon());
    assert.deepEqual(attached.ips, ["10.91.0.2", "fd91::2"]);
    assert.deepEqual(job.stages, ["cni bridge ADD", "cni bridge ADD net1", "cni bridge ADD data"]);
    assert.deepEqual(
      fixture.networks
        .networkStatus(podA.id)
        .map((entry) => [entry.name, entry.interface, entry.ips, entry.default]),
      [
        ["net-cni1", "eth0", ["10.91.0.2", "fd91::2"], true],
        ["net-cni2", "net1", ["10.92.0.9"], false],
        ["net-cni3", "data", ["10.93.0.2"], false],
      ],
    );
    assert.equal(fixture.networks.networkStatus(podA.id)[1]?.mac, "02:00:00:00:00:09");
    await using _server = await serve(a, 80);
    assert.equal(await ask(b, "10.92.0.9", 80), "10.92.0.10");
    await fixture.networks.check(podA.id, undefined, soon());

    await fixture.restart();
    assert.equal(fixture.networks.networkStatus(podA.id).length, 3);
    await fixture.networks.detach(podA.id, makeJob(), soon());
    await fixture.networks.detach(podB.id, makeJob(), soon());
    await fixture.restart();
    assert.deepEqual(fixture.networks.entries(), []);
    assert.deepEqual([await reserved(fixture), await veths(), fixture.warnings], [[], [], []]);
  },
);

test(
  "several networks: one that fails undoes them all, one that is unknown does nothing",
  needsRoot,
  async () => {
    await using fixture = await makeNetworks();
    await using namespace = await makeNamespace();
    for (const [networks, expected] of [
      ["net-cni2,net-cni9", /no network net-cni9 is configured; there are: net-cni1, net-cni2, net-cni3/],
      ['[{"name":"net-cni3"},{"name":"net-cni2","ips":["10.50.0.1"]}]', /10\.50\.0\.1 is in no range/],
      ['[{"name":"net-cni3","mac":"02:00:00:00:00:01"}]', /net-cni3 has the capability mac/],
    ] as const) {
      const attached = fixture.networks.attach(asking(networks), namespace.path, makeJob(), soon());
      await assert.rejects(attached, expected);
      await fixture.restart();
      assert.deepEqual(fixture.networks.entries(), [], networks);
      assert.deepEqual([await reserved(fixture), await veths()], [[], []], networks);
    }
  },
);

test("several networks: a teardown that fails in one still takes the others off", needsRoot, async () => {
  await using fixture = await makeNetworks();
  await using namespace = await makeNamespace();
  const stubborn = { cniVersion: "1.0.0", name: "stubborn", plugins: [{ type: "stubborn" }] };
  await writeFile(join(fixture.confDir, "40-stubborn.conflist"), JSON.stringify(stubborn));
  const pass = join(fixture.folder, "pass");
  await fixture.plugin(
    "stubborn",
    `[ $CNI_COMMAND = ADD ] && { echo '{}'; exit 0; }\n[ -e ${pass} ] || { echo '{"code": 100, "msg": "not yet"}'; exit 1; }`,
  );
  await fixture.restart();
  const pod = asking("stubborn,net-cni2");
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  await assert.rejects(fixture.networks.detach(pod.id, undefined, soon()), /not yet/);
  assert.deepEqual(
    fixture.networks.entries().map(({ network, state }) => [network, state]),
    [["stubborn", "leaving"]],
  );
  assert.deepEqual([await reserved(fixture), await veths()], [[], []]);
  await writeFile(pass, "");
  await fixture.restart();
  await fixture.networks.detach(pod.id, undefined, soon());
  await fixture.restart();
  assert.deepEqual(fixture.networks.entries(), []);
});

test("several networks: without the configuration key the annotation means nothing", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24"]));
  const pod = asking("net-cni9");
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  assert.equal(fixture.networks.networkStatus(pod.id).length, 1);
  await fixture.networks.detach(pod.id, undefined, soon());
});
