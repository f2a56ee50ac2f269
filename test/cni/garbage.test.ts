import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

await enterPrivateNetwork();
beforeEach(async () => {
  if (!("skip" in needsRoot)) await output("nft", "flush", "ruleset");
});

/** What the host has of pods: links, and rules but those that stay for the next pod. */
async function traces(): Promise<object> {
  const saved = await Promise.all(
    ["iptables-save", "ip6tables-save"].map((name) => output(name, "-t", "filter")),
  );
  const rules = saved
    .join("\n")
    .split("\n")
    .filter((line) => line.startsWith("-A"));
  return { links: (await hostLinks()).toSorted(), rules };
}

/** Two networks on one bridge with everything that pods leave on the host. */
function networkOf(fixture: NetworkFixture, name: string, main: object): object {
  const base = bridgeNetwork(fixture, "gc0", ["10.41.0.0/24"]);
  const rates = { ingressRate: 8000, ingressBurst: 8000, egressRate: 8000, egressBurst: 8000 };
  const plugins = [
    { ...base.plugins[0], ...main },
    { type: "bandwidth", ...rates },
    { type: "firewall", backend: "iptables" },
  ];
  return { ...base, cniVersion: "1.1.0", name, plugins };
}

for (const type of ["bridge", "ptp"]) {
  test(
    `garbage: ${type}, bandwidth and firewall drop what is of no pod of their network`,
    needsRoot,
    async () => {
      await using fixture = await makeFixture();
      await using kept = await makeNamespace();
      await using neighbour = await makeNamespace();
      await using lost = await makeNamespace();
      const dataDir = fixture.dataDir;
      const place = async (one: NetworkFixture, name: string, path: string): Promise<string> => {
        await one.configure(networkOf({ ...one, dataDir }, name, { type }));
        const pod = makePod();
        await one.networks.attach(pod, path, makeJob(), soon());
        return pod.id;
      };
      // Of another network: what it has is not this one's to drop.
      await using other = await makeFixture();
      const neighbourPod = await place(other, "other", neighbour.path);
      const pod = await place(fixture, "net", kept.path);
      const before = await traces();
      {
        // Another runtime with the same network, whose records are lost with its folder.
        await using gone = await makeFixture();
        await place(gone, "net", lost.path);
      }
      assert.notDeepEqual(await traces(), before);
      const job = makeJob();
      await fixture.networks.collectGarbage(job, soon());
      assert.deepEqual(await traces(), before);
      assert.match(job.notes.join("\n"), /deleted veth[0-9a-f]{8}, which nobody uses any more/);
      assert.match(job.notes.join("\n"), /released 10\.41\.0\.\d/);
      await fixture.networks.check(pod, undefined, soon());
      await other.networks.check(neighbourPod, undefined, soon());
      await fixture.networks.detach(pod, undefined, soon());
      await other.networks.detach(neighbourPod, undefined, soon());
      for (const one of [fixture, other]) await one.restart();
      await output("ip", "link", "delete", "gc0").catch(() => undefined);
      assert.deepEqual(await traces(), { links: ["lo"], rules: [] });
    },
  );
}

for (const backend of ["iptables", "nftables"]) {
  test(`garbage: firewall, ${backend}: a bridge that is gone leaves no policy`, needsRoot, async () => {
    await using fixture = await makeFixture();
    const policy = { type: "firewall", backend, ingressPolicy: "isolated" };
    for (const bridge of ["gc1", "gc2"]) {
      await using namespace = await makeNamespace();
      const base = bridgeNetwork(fixture, bridge, ["10.42.0.0/24"]);
      await fixture.configure({
        ...base,
        name: "net",
        cniVersion: "1.1.0",
        plugins: [...base.plugins, policy],
      });
      const pod = makePod();
      await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
      await fixture.networks.detach(pod.id, undefined, soon());
      await fixture.restart();
    }
    await output("ip", "link", "delete", "gc1");
    await fixture.networks.collectGarbage(undefined, soon());
    assert.doesNotMatch(await output("nft", "list", "ruleset"), /gc1/);
    assert.match(await output("nft", "list", "ruleset"), /gc2/);
    await output("ip", "link", "delete", "gc2");
    await fixture.networks.collectGarbage(undefined, soon());
    assert.doesNotMatch(await output("nft", "list", "ruleset"), /gc2|CNI-|berth_firewall/);
  });
}
