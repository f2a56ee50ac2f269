import assert from "node:assert/strict";
import { test } from "node:test";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output, type TestNamespace } from "./namespaces.ts";
import { ask, hostLinks, serve } from "./traffic.ts";

await enterPrivateNetwork();

/** Skips where a bridge keeps no VLANs apart; test/vm has a kernel that does. */
const needsVlans =
  "skip" in needsRoot
    ? needsRoot
    : await output("ip", ..."link add vlantest type bridge vlan_filtering 1".split(" ")).then(
        () => ({}),
        () => ({ skip: "the kernel has no CONFIG_BRIDGE_VLAN_FILTERING" }),
      );
if (!("skip" in needsVlans)) await output("ip", "link", "delete", "vlantest");

async function place(
  fixture: NetworkFixture,
  bridge: string,
  pod: TestNamespace,
  keys: object,
): Promise<{ id: string; ip: string; host: string; names: readonly string[] }> {
  await fixture.configure(bridgeNetwork(fixture, bridge, ["10.44.0.0/24"], keys));
  const made = makePod();
  const { ips, interfaces } = await fixture.networks.attach(made, pod.path, makeJob(), soon());
  const names = interfaces.map(({ name }) => name);
  return { id: made.id, ip: ips[0] ?? "", host: names[1] ?? "", names };
}

/** A port's VLANs: `5 PVID untagged`. */
async function vlansOf(port: string): Promise<string[]> {
  const [entry] = JSON.parse(await output("bridge", "-json", "vlan", "show", "dev", port)) as {
    vlans: { vlan: number; vlanEnd?: number; flags?: string[] }[];
  }[];
  return (entry?.vlans ?? []).map(({ vlan, vlanEnd, flags = [] }) =>
    [vlanEnd === undefined ? vlan : `${vlan}-${vlanEnd}`, ...flags].join(" "),
  );
}

test(
  "vlan: pods of one VLAN reach each other and its gateway, those of another do not",
  needsVlans,
  async () => {
    await using fixture = await makeFixture();
    await using first = await makeNamespace();
    await using second = await makeNamespace();
    await using other = await makeNamespace();
    const one = await place(fixture, "vl0", first, { vlan: 5 });
    const two = await place(fixture, "vl0", second, { vlan: 5 });
    assert.deepEqual(await vlansOf(one.host), ["5 PVID Egress Untagged"]);
    assert.deepEqual(one.names.slice(2), ["eth0", "vl0.5"]);
    await using _server = await serve(first, 80);
    assert.equal(await ask(second, one.ip, 80), two.ip);
    assert.equal(await ask({ run: output }, one.ip, 80), "10.44.0.1");
    // The gateway has its address on the link beside the bridge, not on the bridge.
    assert.match(await output("ip", "address", "show", "dev", "vl0.5"), /10\.44\.0\.1\/24/);
    assert.doesNotMatch(await output("ip", "address", "show", "dev", "vl0"), /10\.44/);
    const three = await place(fixture, "vl0", other, { vlan: 6, isGateway: false, isDefaultGateway: false });
    assert.deepEqual(three.names, ["vl0", three.host, "eth0"]);
    assert.match(await ask(other, one.ip, 80), /^(timeout|EHOSTUNREACH)$/);
    for (const { id } of [one, two, three]) await fixture.networks.detach(id, undefined, soon());
    await fixture.restart();
    const left = (await hostLinks()).filter((name) => !/^veth/.test(name));
    assert.deepEqual(left.toSorted(), ["lo", "vl0", "vl0.5"]);
    for (const link of ["vl0.5", "vl0"]) await output("ip", "link", "delete", link);
  },
);

test(
  "vlan: a trunk, the bridge's own VLAN kept or not, a bridge that was there before",
  needsVlans,
  async () => {
    await using fixture = await makeFixture();
    await output("ip", "link", "add", "vl1", "type", "bridge");
    for (const [keys, expected] of [
      [
        { vlanTrunk: [{ id: 7 }, { minID: 100, maxID: 102 }] },
        ["1 PVID Egress Untagged", "7", "100", "101", "102"],
      ],
      [{ vlan: 5, vlanTrunk: [{ minID: 5, maxID: 6 }] }, ["5 PVID Egress Untagged", "6"]],
      [{ vlan: 5, preserveDefaultVlan: true }, ["1 Egress Untagged", "5 PVID Egress Untagged"]],
      [{}, ["1 PVID Egress Untagged"]],
    ] as const) {
      await using pod = await makeNamespace();
      const { id, host } = await place(fixture, "vl1", pod, keys);
      const vlans = (await vlansOf(host)).flatMap((text) => {
        const [from = 0, to] = (text.split(" ")[0] ?? "").split("-").map(Number);
        return to === undefined
          ? [text]
          : Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
      });
      assert.deepEqual(vlans, expected, JSON.stringify(keys));
      await fixture.networks.detach(id, undefined, soon());
      await fixture.restart();
    }
    for (const link of ["vl1.5", "vl1"]) await output("ip", "link", "delete", link);
  },
);

test("vlan: a kernel that keeps none apart is named, and nothing is left", needsRoot, async (t) => {
  if (!("skip" in needsVlans)) {
    t.skip("this kernel does");
    return;
  }
  await using fixture = await makeFixture();
  await using pod = await makeNamespace();
  await assert.rejects(
    place(fixture, "vl2", pod, { vlan: 5 }),
    /vl2: vlan: the kernel has no CONFIG_BRIDGE_VLAN/,
  );
  assert.deepEqual(fixture.networks.entries(), []);
  assert.deepEqual(await fixture.reserved("net-vl2"), []);
  assert.deepEqual((await hostLinks()).toSorted(), ["lo", "vl2"]);
  await output("ip", "link", "delete", "vl2");
});
