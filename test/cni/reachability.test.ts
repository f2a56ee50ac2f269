import assert from "node:assert/strict";
import { test } from "node:test";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import {
  enterPrivateNetwork,
  makeNamespace,
  makeWorld,
  needsRoot,
  output,
  type TestNamespace,
} from "./namespaces.ts";
import { ask, askFromHost, hostLinks, serve } from "./traffic.ts";

await enterPrivateNetwork();

async function attachPod(fixture: NetworkFixture, pod: TestNamespace): Promise<readonly string[]> {
  return (await fixture.networks.attach(makePod(), pod.path, makeJob(), soon())).ips;
}

test("reachability: pods, host and the pod itself, both families", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni1", ["10.91.0.0/24", "fd91::/64"]));
  await using a = await makeNamespace();
  await using b = await makeNamespace();
  const [a4 = "", a6 = ""] = await attachPod(fixture, a);
  const [b4 = "", b6 = ""] = await attachPod(fixture, b);
  assert.deepEqual([a4, a6, b4, b6], ["10.91.0.2", "fd91::2", "10.91.0.3", "fd91::3"]);
  await using _server = await serve(a, 80);
  assert.equal(await ask(b, a4, 80), b4);
  assert.equal(await ask(b, a6, 80), b6);
  assert.equal(await ask(a, "127.0.0.1", 80), "127.0.0.1");
  assert.equal(await askFromHost(a4, 80), "10.91.0.1");
  assert.equal(await askFromHost(a6, 80), "fd91::1");
});

test("reachability: host and gateway are reached from the pod", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni2", ["10.92.0.0/24"]));
  await using pod = await makeNamespace();
  await attachPod(fixture, pod);
  // Nothing listens there: to be refused is to have been reached.
  assert.equal(await ask(pod, "10.92.0.1", 9), "ECONNREFUSED");
});

test("reachability: the world sees the host's address, other pods the pod's", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using world = await makeWorld();
  const subnets = ["10.93.0.0/24", "fd93::/64"];
  await fixture.configure(bridgeNetwork(fixture, "cni3", subnets, { ipMasq: true }));
  await using a = await makeNamespace();
  await using b = await makeNamespace();
  const [a4 = "", a6 = ""] = await attachPod(fixture, a);
  const [b4 = "", b6 = ""] = await attachPod(fixture, b);
  await using _outside = await serve(world, 80);
  await using _inside = await serve(b, 80);
  assert.equal(await ask(a, "192.0.2.2", 80), "192.0.2.1");
  assert.equal(await ask(a, "2001:db8::2", 80), "2001:db8::1");
  assert.equal(await ask(a, b4, 80), a4);
  assert.equal(await ask(a, b6, 80), a6);

  // Whoever flushes the ruleset does not cut the next pod off.
  await output("nft", "flush", "ruleset");
  await using c = await makeNamespace();
  await attachPod(fixture, c);
  assert.equal(await ask(c, "192.0.2.2", 80), "192.0.2.1");

  for (const { podId } of fixture.networks.entries()) await fixture.networks.detach(podId, undefined, soon());
  await fixture.restart();
  assert.match(await output("nft", "list", "tables"), /berth_masq_/);
  await fixture.networks.collectGarbage(undefined, soon());
  assert.match(await output("nft", "list", "tables"), /berth_masq_/);
  await fixture.configure(bridgeNetwork(fixture, "cni9", ["10.99.0.0/24"]));
  await fixture.networks.collectGarbage(undefined, soon());
  assert.equal(await output("nft", "list", "tables"), "");
});

test(
  "reachability: a pod learns no routes from whoever is on the bridge (CVE-2020-10749)",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await fixture.configure(bridgeNetwork(fixture, "cni4", ["10.94.0.0/24"]));
    await using pod = await makeNamespace();
    await attachPod(fixture, pod);
    assert.equal(await pod.run("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra"), "0\n");
    assert.equal(await output("cat", "/proc/sys/net/ipv6/conf/cni4/accept_ra"), "0\n");
  },
);

test("reachability: mtu, hairpin and isolation", needsRoot, async () => {
  await using fixture = await makeFixture();
  const extra = { mtu: 1400, hairpinMode: true, portIsolation: true, enabledad: true };
  await fixture.configure(bridgeNetwork(fixture, "cni5", ["10.95.0.0/24", "fd95::/64"], extra));
  await using pod = await makeNamespace();
  await attachPod(fixture, pod);
  const [port] = JSON.parse(await output("ip", "-json", "-details", "link", "show", "master", "cni5")) as {
    ifname: string;
    mtu: number;
    linkinfo: { info_slave_data: { hairpin: boolean; isolated: boolean } };
  }[];
  assert.equal(port?.mtu, 1400);
  assert.equal(port.linkinfo.info_slave_data.hairpin, true);
  assert.equal(port.linkinfo.info_slave_data.isolated, true);
  assert.match(await pod.run("ip", "link", "show", "eth0"), /mtu 1400/);
  // enabledad: the address is settled when attach returns.
  assert.doesNotMatch(
    await pod.run("ip", "-6", "address", "show", "dev", "eth0", "scope", "global"),
    /tentative/,
  );
});

test("reachability: a bridge with another address is refused, or forced", needsRoot, async () => {
  await using fixture = await makeFixture();
  await output("ip", "link", "add", "cni6", "type", "bridge");
  await output("ip", "address", "add", "10.200.0.1/24", "dev", "cni6");
  await fixture.configure(bridgeNetwork(fixture, "cni6", ["10.96.0.0/24"]));
  await using pod = await makeNamespace();
  await assert.rejects(
    attachPod(fixture, pod),
    /cni6 has the address 10\.200\.0\.1\/24 already, not 10\.96\.0\.1\/24/,
  );
  assert.deepEqual(await fixture.reserved("net-cni6"), []);
  assert.deepEqual(fixture.networks.entries(), []);
  await fixture.configure(bridgeNetwork(fixture, "cni6", ["10.96.0.0/24"], { forceAddress: true }));
  await attachPod(fixture, pod);
  assert.match(await output("ip", "address", "show", "dev", "cni6"), /10\.96\.0\.1\/24/);
});

test("reachability: a link that is no bridge, and keys that contradict, are named", needsRoot, async () => {
  await using fixture = await makeFixture();
  await output("ip", "link", "add", "cni7", "type", "veth", "peer", "name", "cni7p");
  await using pod = await makeNamespace();
  await fixture.configure(bridgeNetwork(fixture, "cni7", ["10.97.0.0/24"]));
  await assert.rejects(attachPod(fixture, pod), /cni7 exists and is not a bridge/);
  for (const [keys, expected] of [
    [{ vlan: 4095 }, /vlan: expected 0 to 4094, not 4095/],
    [{ disableContainerInterface: true }, /disableContainerInterface allows no ipam/],
  ] as const) {
    await fixture.configure(bridgeNetwork(fixture, "cni8", ["10.97.0.0/24"], keys));
    await assert.rejects(attachPod(fixture, pod), expected);
  }
  assert.deepEqual(await pod.run("ip", "-brief", "link", "show", "type", "veth"), "");
});

test("reachability: a pod that sends with another hardware address is not heard", needsRoot, async () => {
  await using fixture = await makeFixture();
  await fixture.configure(bridgeNetwork(fixture, "cni10", ["10.98.0.0/24"], { macspoofchk: true }));
  await using pod = await makeNamespace();
  await attachPod(fixture, pod);
  assert.equal(await ask(pod, "10.98.0.1", 9), "ECONNREFUSED");
  await pod.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:99");
  assert.match(await ask(pod, "10.98.0.1", 9), /^(timeout|EHOSTUNREACH)$/);
  const tables = (): Promise<string> => output("nft", "list", "tables", "netdev");
  assert.match(await tables(), /berth_mac_veth/);
  for (const { podId } of fixture.networks.entries()) await fixture.networks.detach(podId, undefined, soon());
  await fixture.restart();
  assert.equal(await tables(), "");
  // What a crash leaves goes with the garbage.
  await output("nft", "add", "table", "netdev", "berth_mac_veth01234567");
  await fixture.networks.collectGarbage(undefined, soon());
  assert.equal(await tables(), "");
  await output("ip", "link", "delete", "cni10");
});

test("reachability: an address that somebody else has is named, and nothing is left", needsRoot, async () => {
  await using fixture = await makeFixture();
  const ipam = { type: "static", addresses: [{ address: "fd98::2/64" }] };
  const plugin = { type: "bridge", bridge: "cni12", enabledad: true, ipam };
  await fixture.configure({ cniVersion: "1.0.0", name: "twice", plugins: [plugin] });
  await using first = await makeNamespace();
  await using second = await makeNamespace();
  assert.deepEqual(await attachPod(fixture, first), ["fd98::2"]);
  const before = (await hostLinks()).length;
  await assert.rejects(attachPod(fixture, second), /fd98::2\/64 is in use by another host/);
  assert.equal(fixture.networks.entries().length, 1);
  assert.equal((await hostLinks()).length, before);
  assert.equal(await second.run("ip", "-brief", "link", "show", "type", "veth"), "");
  for (const { podId } of fixture.networks.entries()) await fixture.networks.detach(podId, undefined, soon());
  await fixture.restart();
  await output("ip", "link", "delete", "cni12");
});

test("reachability: a link that is left to the pod is down, and has no address", needsRoot, async () => {
  await using fixture = await makeFixture();
  const keys = { type: "bridge", bridge: "cni11", disableContainerInterface: true };
  await fixture.configure({ cniVersion: "1.0.0", name: "l2", plugins: [keys] });
  await using pod = await makeNamespace();
  assert.deepEqual(await attachPod(fixture, pod), []);
  assert.match(await pod.run("ip", "-brief", "link", "show", "eth0"), /^eth0\S* +DOWN/);
  for (const { podId } of fixture.networks.entries()) {
    await fixture.networks.check(podId, undefined, soon());
    await fixture.networks.detach(podId, undefined, soon());
  }
  await fixture.restart();
  await output("ip", "link", "delete", "cni11");
});

test(
  "reachability: a bridge deleted and a gateway address removed are repaired by the next pod",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await fixture.configure(bridgeNetwork(fixture, "cni9", ["10.99.0.0/24"]));
    for (const damage of [
      ["address", "delete", "10.99.0.1/24", "dev", "cni9"],
      ["link", "set", "cni9", "down"],
      ["link", "delete", "cni9"],
    ]) {
      await using before = await makeNamespace();
      await attachPod(fixture, before);
      await output("ip", ...damage);
      await using pod = await makeNamespace();
      await attachPod(fixture, pod);
      assert.equal(await ask(pod, "10.99.0.1", 9), "ECONNREFUSED", damage.join(" "));
    }
  },
);
