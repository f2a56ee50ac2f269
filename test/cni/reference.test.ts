import assert from "node:assert/strict";
import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { writeResult } from "../../src/cni/result.ts";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import { available, callReference, normalised, plugins } from "./reference-plugins.ts";
import { enterPrivateNetwork, makeNamespace, output } from "./namespaces.ts";
import { hostLinks } from "./traffic.ts";

/** The single plugin of a network, as it is handed to a program. */
function programConf(network: ReturnType<typeof bridgeNetwork>, version: string): { type: string } {
  return { ...network.plugins[0], name: network.name, cniVersion: version } as unknown as { type: string };
}

const variants: readonly (readonly [string, string, readonly string[], object])[] = [
  ["1.0.0", "plain", ["10.91.0.0/24"], {}],
  ["0.4.0", "plain", ["10.91.0.0/24"], {}],
  ["0.3.1", "dual stack", ["10.91.0.0/24", "fd91::/64"], {}],
  ["1.0.0", "dual stack", ["10.91.0.0/24", "fd91::/64"], {}],
  ["1.0.0", "no default gateway", ["10.91.0.0/24"], { isDefaultGateway: false }],
  ["1.0.0", "no gateway", ["10.91.0.0/24"], { isDefaultGateway: false, isGateway: false }],
  ["1.0.0", "hairpin, mtu", ["10.91.0.0/24"], { hairpinMode: true, mtu: 1400 }],
  ["1.0.0", "dns", ["10.91.0.0/24"], { dns: { nameservers: ["10.91.0.1"], search: ["x.y"] } }],
];

for (const [version, name, subnets, extra] of variants) {
  test(`reference: the same result, addresses and routes: ${version} ${name}`, available, async () => {
    const [theirs, ours] = [
      await viaReference(version, subnets, extra),
      await viaBuiltIn(version, subnets, extra),
    ];
    assert.deepEqual(normalised(ours.result), normalised(theirs.result));
    assert.deepEqual(ours.addresses, theirs.addresses);
    assert.deepEqual(ours.routes, theirs.routes);
  });
}

await enterPrivateNetwork();

interface Outcome {
  readonly result: object;
  readonly addresses: unknown;
  readonly routes: unknown;
}

async function viaReference(version: string, subnets: readonly string[], extra: object): Promise<Outcome> {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  const conf = programConf(bridgeNetwork(fixture, "ref0", subnets, extra), version);
  const call = { type: conf.type, containerId: "c1", netns: namespace.path, conf };
  const result = JSON.parse(await callReference({ command: "ADD", ...call })) as object;
  const observed = await observe(namespace.run);
  await callReference({ command: "DEL", ...call });
  await output("ip", "link", "delete", "ref0");
  return { result, ...observed };
}

async function viaBuiltIn(version: string, subnets: readonly string[], extra: object): Promise<Outcome> {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await fixture.configure({ ...bridgeNetwork(fixture, "ref0", subnets, extra), cniVersion: version });
  const pod = makePod();
  const { result } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  const observed = await observe(namespace.run);
  await fixture.networks.detach(pod.id, undefined, soon());
  await output("ip", "link", "delete", "ref0");
  return { result: writeResult(result, version as "1.0.0"), ...observed };
}

/** Global addresses and routes as the kernel has them. */
async function observe(
  inside: (program: string, ...programArguments: string[]) => Promise<string>,
): Promise<Omit<Outcome, "result">> {
  const addresses = JSON.parse(
    await inside("ip", "-json", "address", "show", "dev", "eth0", "scope", "global"),
  ) as {
    mtu: number;
    addr_info: { local: string; prefixlen: number; broadcast?: string; scope: string }[];
  }[];
  const found = addresses.flatMap(({ mtu, addr_info }) =>
    addr_info.map(({ local, prefixlen, broadcast, scope }) => ({ mtu, local, prefixlen, broadcast, scope })),
  );
  const routes: string[] = [];
  for (const family of ["-4", "-6"]) {
    const text = await inside("ip", family, "route", "show");
    // The order in which two default routes of the kernel's own appear says nothing.
    routes.push(
      ...text
        .split("\n")
        .map((line) => line.trim())
        .filter((line) => !line.startsWith("fe80")),
    );
  }
  return { addresses: found, routes: routes.sort() };
}

test("reference: one folder of reservations serves both", available, async () => {
  await using fixture = await makeFixture();
  const network = bridgeNetwork(fixture, "ref0", ["10.91.0.0/24"]);
  const conf = programConf(network, "1.0.0");
  await fixture.configure(network);
  await using mine = await makeNamespace();
  await using theirs = await makeNamespace();
  await using third = await makeNamespace();
  const pod = makePod();
  await fixture.networks.attach(pod, mine.path, makeJob(), soon());
  const call = { type: "bridge", containerId: "c1", netns: theirs.path, conf };
  const result = JSON.parse(await callReference({ command: "ADD", ...call })) as {
    ips: { address: string }[];
  };
  assert.equal(result.ips[0]?.address, "10.91.0.3/24");
  const { ips } = await fixture.networks.attach(makePod(), third.path, makeJob(), soon());
  assert.deepEqual(ips, ["10.91.0.4"]);
  // Theirs takes down what is ours, and ours finds nothing left to do.
  await callReference({ command: "DEL", ...call, containerId: pod.id, netns: mine.path });
  await fixture.networks.detach(pod.id, undefined, soon());
  await callReference({ command: "DEL", ...call });
  for (const { podId } of fixture.networks.entries()) await fixture.networks.detach(podId, undefined, soon());
  await fixture.restart();
  assert.deepEqual(await fixture.reserved("net-ref0"), []);
  assert.deepEqual(
    (await hostLinks()).filter((name) => name.startsWith("veth")),
    [],
  );
  await output("ip", "link", "delete", "ref0");
});

test("reference: ours undoes what the reference plugin set up", available, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  const network = bridgeNetwork(fixture, "ref0", ["10.91.0.0/24"]);
  const pod = makePod();
  await fixture.configure(network);
  const conf = programConf(network, "1.0.0");
  await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
  const call = { type: "bridge", containerId: pod.id, netns: namespace.path, conf };
  await callReference({ command: "DEL", ...call });
  await callReference({ command: "ADD", ...call });
  await fixture.networks.detach(pod.id, undefined, soon());
  assert.equal(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), "");
  assert.deepEqual(await fixture.reserved("net-ref0"), []);
  await output("ip", "link", "delete", "ref0");
});

test(
  "reference: programs chained behind the built-in bridge: tuning and the external host-local's files",
  available,
  async () => {
    await using fixture = await makeFixture();
    await using namespace = await makeNamespace();
    await linkPlugins(fixture, ["tuning"]);
    const network = bridgeNetwork(fixture, "ref0", ["10.91.0.0/24"]);
    const dataDir = join(fixture.folder, "tuning");
    network.plugins.push({ type: "tuning", dataDir, sysctl: { "net.core.somaxconn": "511" } });
    await fixture.configure(network);
    const pod = makePod();
    const { ips } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
    assert.deepEqual(ips, ["10.91.0.2"]);
    assert.equal(await namespace.run("cat", "/proc/sys/net/core/somaxconn"), "511\n");
    await fixture.networks.check(pod.id, undefined, soon());
    await fixture.networks.detach(pod.id, undefined, soon());
    await output("ip", "link", "delete", "ref0");
  },
);

test("reference: a network of programs alone", available, async () => {
  await using fixture = await makeFixture();
  await using namespace = await makeNamespace();
  await linkPlugins(fixture, ["host-device", "static"]);
  const addresses = [{ address: "10.66.0.2/24" }];
  await fixture.configure({
    cniVersion: "1.0.0",
    name: "moved",
    plugins: [{ type: "host-device", device: "moved0", ipam: { type: "static", addresses } }],
  });
  await output("ip", "link", "add", "moved0", "type", "veth", "peer", "name", "moved1");
  try {
    const pod = makePod();
    const { ips } = await fixture.networks.attach(pod, namespace.path, makeJob(), soon());
    assert.deepEqual(ips, ["10.66.0.2"]);
    assert.match(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), /^eth0/);
    await fixture.networks.detach(pod.id, undefined, soon());
    assert.equal(await namespace.run("ip", "-brief", "link", "show", "type", "veth"), "");
  } finally {
    // The pod's namespace gives it back, but where that is gone.
    await output("ip", "link", "delete", "moved0").catch(() => undefined);
  }
});

/** Puts reference plugins into the fixture's folder. */
async function linkPlugins(fixture: NetworkFixture, types: readonly string[]): Promise<void> {
  for (const type of types) {
    await readFile(join(plugins, type));
    await symlink(join(plugins, type), join(fixture.binDir, type));
  }
}
