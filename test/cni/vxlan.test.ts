import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestHost, type HostPod } from "./hosts.ts";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, needsRoot, output } from "./namespaces.ts";
import { ask, serve } from "./traffic.ts";

await enterPrivateNetwork();
if (!("skip" in needsRoot)) {
  await output("ip", "link", "add", "wire", "type", "bridge");
  await output("ip", "link", "set", "wire", "up");
}

/** Three hosts, 192.0.2.1 to .3, with pods in 10.N.0.0/24 and fdN::/64. */
interface Hosts extends AsyncDisposable {
  readonly all: readonly [TestHost, TestHost, TestHost];
}

async function makeHosts(): Promise<Hosts> {
  const made = new AsyncDisposableStack();
  const make = async (number: number): Promise<TestHost> =>
    made.use(await TestHost.create(`h${number}`, "wire", [`192.0.2.${number}/24`, `2001:db8::${number}/64`]));
  const all = [await make(1), await make(2), await make(3)] as const;
  return { all, [Symbol.asyncDispose]: () => made.disposeAsync() };
}

/** Every host's entry: the same list serves all of them. */
const peers = [1, 2, 3].map((number) => ({
  address: `192.0.2.${number}`,
  subnets: [`10.${number}.0.0/24`, `fd0${number}::/64`],
}));

function network(host: TestHost, ranges: object[][], bridge: object, vxlan: object): object {
  const ipam = { type: "host-local", ranges, dataDir: join(host.folder, "data") };
  return {
    cniVersion: "1.1.0",
    name: "overlay",
    plugins: [
      { type: "bridge", bridge: "cni0", isGateway: true, isDefaultGateway: true, ...bridge, ipam },
      { type: "vxlan", vni: 42, dataDir: join(host.folder, "users"), ...vxlan },
    ],
  };
}

/** The list of a host with subnets of its own. */
function routed(host: TestHost, number: number, vxlan: object): object {
  const ranges = [[{ subnet: `10.${number}.0.0/24` }], [{ subnet: `fd0${number}::/64` }]];
  return network(host, ranges, { ipMasq: true }, vxlan);
}

async function eventually(condition: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; !(await condition()); tries += 1) {
    assert.ok(tries < 300, `waited too long for ${what}`);
    await sleep(50);
  }
}

/** What the overlay put on a host. */
async function traces({ namespace }: TestHost): Promise<string[]> {
  const links = await namespace.run("ip", "-brief", "link", "show", "type", "vxlan");
  const tables = await namespace.run("nft", "list", "tables");
  const routes = await namespace.run("ip", "route", "show", "proto", "static");
  return [links, ...tables.split("\n").filter((line) => line.includes("vxlan")), routes].filter(
    (text) => text !== "",
  );
}

/** Whether the pod sees a server of the other pod, and by the pod's own address. */
async function assertReaches(from: HostPod, to: HostPod): Promise<void> {
  await using _server = await serve(to, 80);
  for (const [index, ip] of to.ips.entries()) assert.equal(await ask(from, ip, 80), from.ips[index]);
}

test(
  "vxlan: pods of three routed hosts reach one another by their own addresses, and the last one takes all away",
  needsRoot,
  async () => {
    await using hosts = await makeHosts();
    for (const [index, host] of hosts.all.entries()) {
      await host.configure(routed(host, index + 1, { peers }));
      await host.start();
    }
    const [one, two, three] = hosts.all;
    const [a, b, c] = [await one.attach(), await two.attach(), await three.attach()];
    const second = await one.attach();
    assert.deepEqual(
      [a.ips, c.ips],
      [
        ["10.1.0.2", "fd01::2"],
        ["10.3.0.2", "fd03::2"],
      ],
    );
    for (const [from, to] of [
      [a, b],
      [b, c],
      [c, a],
      [second, c],
    ] as const)
      await assertReaches(from, to);

    // What fits into the tunnel is what the pod sends; 50 bytes are the tunnel's own.
    assert.equal(a.mtu, 1450);
    assert.match(await a.run("ip", "link", "show", "eth0"), /mtu 1450/);
    // The host itself goes in with the gateway's address, so that the answer comes back the same way.
    assert.match(await one.namespace.run("ip", "route", "get", "10.3.0.2"), /dev vxlan42 src 10\.1\.0\.1/);
    assert.match(await one.namespace.run("ping", "-c1", "-W5", "10.3.0.2"), /1 received/);

    // A daemon that starts anew finds all in place.
    await one.start();
    await assertReaches(a, c);
    await one.detach(second);
    await assertReaches(a, b);
    await one.detach(a);
    await eventually(async () => (await traces(one)).length === 0, "the first host's overlay to go");
    assert.deepEqual(await one.ask("warnings"), []);
    await assertReaches(b, c);
  },
);

test(
  "vxlan: a peers file counts when it changes, a broken one changes nothing and is named",
  needsRoot,
  async () => {
    await using hosts = await makeHosts();
    const [one, , three] = hosts.all;
    const file = join(one.folder, "peers.json");
    const write = async (text: string): Promise<void> => {
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    };
    await write(JSON.stringify({ peers: peers.slice(0, 2) }));
    await one.configure(routed(one, 1, { peersFile: file }));
    await three.configure(routed(three, 3, { peers }));
    for (const host of [one, three]) await host.start();
    const [a, c] = [await one.attach(), await three.attach()];
    const route = (): Promise<string> => one.namespace.run("ip", "route", "show", "10.3.0.0/24");
    assert.equal(await route(), "");
    await write(JSON.stringify({ peers }));
    await eventually(async () => (await route()) !== "", "the third host's route");
    await assertReaches(a, c);
    assert.match(await route(), /via 10\.3\.0\.0 dev vxlan42 .*src 10\.1\.0\.1 onlink/);

    await write(`{"peers":\n[}`);
    await eventually(async () => ((await one.ask("warnings")) as string[]).length > 0, "the warning");
    assert.match(
      ((await one.ask("warnings")) as string[]).join(),
      /vxlan: peers stay as they were: .*peers\.json: not JSON: .*line 2/,
    );
    await assertReaches(a, c);

    await write(JSON.stringify({ peers: peers.slice(0, 2) }));
    await eventually(async () => (await route()) === "", "the third host's route to go");
    assert.doesNotMatch(await one.namespace.run("bridge", "fdb", "show", "dev", "vxlan42"), /192\.0\.2\.3/);
    assert.doesNotMatch(await one.namespace.run("ip", "neighbour", "show", "dev", "vxlan42"), /10\.3\.0\.0/);
  },
);

test("vxlan: bridged hosts are one network, also for what is sent to all", needsRoot, async () => {
  await using hosts = await makeHosts();
  for (const [index, host] of hosts.all.entries()) {
    const [from, to] = [index * 50 + 10, index * 50 + 50];
    const range = {
      subnet: "10.77.0.0/24",
      rangeStart: `10.77.0.${from}`,
      rangeEnd: `10.77.0.${to}`,
      gateway: `10.77.0.${index + 1}`,
    };
    const hostsOnly = peers.map(({ address }) => ({ address }));
    await host.configure(network(host, [[range]], {}, { mode: "bridged", peers: hostsOnly }));
    await host.start();
  }
  const [one, two, three] = hosts.all;
  const [a, b, c] = [await one.attach(), await two.attach(), await three.attach()];
  assert.deepEqual([a.ips, b.ips, c.ips], [["10.77.0.10"], ["10.77.0.60"], ["10.77.0.110"]]);
  for (const [from, to] of [
    [a, b],
    [b, c],
    [c, a],
  ] as const)
    await assertReaches(from, to);
  // One hop: the hardware address is the other pod's own.
  assert.match(await a.run("ip", "neighbour", "show", "10.77.0.110"), /0a:58:0a:4d:00:6e/);
  for (const [host, pod] of [
    [one, a],
    [two, b],
    [three, c],
  ] as const) {
    await host.detach(pod);
    await eventually(async () => (await traces(host)).length === 0, "the overlay to go");
  }
});

test(
  "vxlan: a configuration that changes changes the overlay of pods that are there",
  needsRoot,
  async () => {
    await using hosts = await makeHosts();
    const [one, two] = hosts.all;
    await one.configure(routed(one, 1, { peers, port: 5555 }));
    await two.configure(routed(two, 2, { peers }));
    for (const host of [one, two]) await host.start();
    const [a, b] = [await one.attach(), await two.attach()];
    await one.configure(routed(one, 1, { peers }));
    const device = (): Promise<string> =>
      one.namespace.run("ip", "-d", "link", "show", "vxlan42").catch(() => "gone");
    await eventually(async () => (await device()).includes("dstport 4789"), "the new port");
    // Its routes come a moment after the device.
    await eventually(
      async () => (await one.namespace.run("ip", "route", "show", "10.2.0.0/24")) !== "",
      "the routes",
    );
    await assertReaches(a, b);
    await assertReaches(b, a);
  },
);

test("vxlan: who is no peer puts nothing into the overlay", needsRoot, async () => {
  await using hosts = await makeHosts();
  const [one, , three] = hosts.all;
  await one.configure(routed(one, 1, { peers: peers.slice(0, 2) }));
  await three.configure(routed(three, 3, { peers }));
  for (const host of [one, three]) await host.start();
  const [a, c] = [await one.attach(), await three.attach()];
  const received = async (): Promise<number> => {
    const text = await one.namespace.run("ip", "-json", "-s", "link", "show", "vxlan42");
    return (JSON.parse(text) as { stats64: { rx: { packets: number } } }[])[0]?.stats64.rx.packets ?? -1;
  };
  await c.run("sh", "-c", `ping -c3 -i0.2 -W1 ${a.ips[0] ?? ""} || true`);
  assert.equal(await received(), 0);
  await one.configure(routed(one, 1, { peers }));
  await eventually(
    async () => (await one.namespace.run("ip", "route", "show", "10.3.0.0/24")) !== "",
    "the third host's route",
  );
  await assertReaches(c, a);
});

test("vxlan: what is wrong is named, and nothing is left", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  // The host is this process's own network.
  const own = [{ address: "127.0.0.1", subnets: ["10.1.0.0/24"] }, ...peers.slice(1)];
  const overlapping = [own[0], { address: "192.0.2.9", subnets: ["10.1.0.128/25"] }];
  await output("ip", "link", "add", "dummy7", "type", "bridge");
  const attach = async (plugins: object[]): Promise<void> => {
    await fixture.configure({ ...bridgeNetwork(fixture, "cni7", ["10.1.0.0/24"]), plugins });
    await fixture.networks.attach(makePod(), namespace.path, makeJob(), soon());
  };
  const [bridge = {}] = bridgeNetwork(fixture, "cni7", ["10.1.0.0/24"]).plugins;
  for (const [vxlan, expected] of [
    [{ peers: own, vni: 0 }, /vni: expected 1 to 16777215/],
    [{ peers: own, port: 70_000 }, /port: expected 1 to 65535/],
    [{ peers: own, mode: "star" }, /mode: expected routed or bridged, not star/],
    [{ peers: own, device: "a/b" }, /not an interface's name/],
    [{ peers: [...own, own[0]] }, /127\.0\.0\.1 is there twice/],
    [{ peers: overlapping }, /10\.1\.0\.0\/24 of 127\.0\.0\.1 and 10\.1\.0\.128\/25 of 192\.0\.2\.9 overlap/],
    [{ peers: [{ address: "192.0.2.9", subnets: ["10.1.0.1/24"] }] }, /has host bits set/],
    [{ peers: own.slice(1) }, /no address is given, and none of the peers' is this host's/],
    [{ peers: [...own, { address: "2001:db8::9" }] }, /2001:db8::9 is of another family than 127\.0\.0\.1/],
    [{ peers: own, address: "192.0.2.77" }, /no link of this host has the address 192\.0\.2\.77/],
    [{ peersFile: "/nonexistent/peers.json" }, /\/nonexistent\/peers\.json/],
    [{ peers: own, device: "dummy7" }, /dummy7 exists and is no vxlan device/],
  ] as const) {
    const plugin = { type: "vxlan", vni: 42, dataDir: join(fixture.folder, "users"), ...vxlan };
    await assert.rejects(attach([bridge, plugin]), expected);
    assert.deepEqual(fixture.networks.entries(), [], String(expected));
    assert.equal(await output("ip", "-brief", "link", "show", "type", "vxlan"), "", String(expected));
    assert.doesNotMatch(await output("nft", "list", "tables"), /vxlan/, String(expected));
  }
  await assert.rejects(
    attach([{ type: "vxlan", vni: 42, dataDir: join(fixture.folder, "users"), peers: own }]),
    /it is chained behind a plugin/,
  );
  await output("ip", "link", "delete", "dummy7");
});

test(
  "vxlan: garbage collection takes a user away that has no record, and with the last one the overlay",
  needsRoot,
  async () => {
    await using hosts = await makeHosts();
    const [one] = hosts.all;
    await one.configure(routed(one, 1, { peers }));
    await one.start();
    const pod = await one.attach();
    const ghost = join(one.folder, "users/overlay", "ghost:eth0");
    await writeFile(ghost, "");
    await one.ask("collect");
    await one.detach(pod);
    await eventually(async () => (await traces(one)).length === 0, "the overlay to go");
  },
);
