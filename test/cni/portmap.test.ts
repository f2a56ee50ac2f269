import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, test } from "node:test";
import { openHostNetwork } from "../../src/cni/host-network.ts";
import { parsePrefix } from "../../src/cni/ip.ts";
import { runNft } from "../../src/cni/nft.ts";
import { chainScript, subnetScript } from "../../src/cni/portmap/table.ts";
import { tableMessages } from "../../src/cni/portmap/table-messages.ts";
import type { PodId } from "../../src/core/ids.ts";
import type { PortMapping } from "../../src/core/pod.ts";
import { bridgeNetwork, makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import {
  enterPrivateNetwork,
  makeNamespace,
  makeWorld,
  needsRoot,
  output,
  worldAddresses,
  type TestNamespace,
} from "./namespaces.ts";
import { ask, fromHost, serve, start } from "./traffic.ts";

await enterPrivateNetwork();
// What one test leaves must not be what the next one finds.
beforeEach(async () => {
  if (!("skip" in needsRoot)) await output("nft", "flush", "ruleset");
});

/** Without it the kernel translates no SCTP; sockets of it are not needed, see sctp-packets.ts. */
const needsSctp =
  "skip" in needsRoot || existsSync("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established")
    ? needsRoot
    : { skip: "the kernel tracks no SCTP (CONFIG_NF_CT_PROTO_SCTP, or no module nf_conntrack)" };
const sctpProgram = join(import.meta.dirname, "sctp-packets.ts");

const subnets = ["10.71.0.0/24", "fd71::/64"];

/** The reference plugin's usual place in a chain. */
function network(fixture: NetworkFixture, bridge: string, keys: object = {}): object {
  const base = bridgeNetwork(fixture, bridge, subnets, { hairpinMode: true, ipMasq: true });
  return {
    ...base,
    plugins: [...base.plugins, { type: "portmap", capabilities: { portMappings: true }, ...keys }],
  };
}

function port(
  hostPort: number,
  containerPort: number,
  more: { protocol?: PortMapping["protocol"]; hostIp?: string } = {},
): PortMapping {
  return { hostPort, containerPort, protocol: more.protocol ?? "tcp", hostIp: more.hostIp ?? "" };
}

async function attach(
  fixture: NetworkFixture,
  pod: TestNamespace,
  portMappings: readonly PortMapping[] = [],
): Promise<{ id: PodId; ips: readonly string[] }> {
  const made = { ...makePod(), portMappings };
  const { ips } = await fixture.networks.attach(made, pod.path, makeJob(), soon());
  return { id: made.id, ips };
}

/** Every rule of the host, but those of ipMasq, which stay for the next pod; counters and handles left out. */
async function rules(): Promise<string> {
  const tables = (await output("nft", "list", "tables"))
    .split("\n")
    .filter((line) => !/^$|berth_masq_/.test(line));
  const contents = await Promise.all(tables.map((line) => output("nft", "list", ...line.split(" "))));
  // Chains of iptables' own that it makes when it is first asked.
  return contents.join("").replaceAll(/counter packets \d+ bytes \d+ /g, "");
}

async function routeLocalnet(link: string): Promise<string> {
  return (await output("cat", `/proc/sys/net/ipv4/conf/${link}/route_localnet`)).trim();
}

for (const backend of ["nftables", "iptables"] as const) {
  test(`portmap, ${backend}: reached from everywhere, and nothing is left`, needsRoot, async () => {
    await using fixture = await makeFixture();
    await using world = await makeWorld();
    await fixture.configure(network(fixture, "pm0", { backend }));
    await using first = await makeNamespace();
    await using second = await makeNamespace();
    const neighbour = await attach(fixture, second);
    // iptables makes its chains when it is first asked; that is no trace of a pod.
    if (backend === "iptables") for (const name of ["iptables", "ip6tables"]) await touchIptables(name);
    const before = await rules();
    const pod = await attach(fixture, first, [port(8080, 80), port(8053, 53, { protocol: "udp" })]);
    const [pod4 = "", pod6 = ""] = pod.ips;
    assert.equal(await routeLocalnet("pm0"), "1");
    for (const [protocol, hostPort, podPort] of [
      ["tcp", 8080, 80],
      ["udp", 8053, 53],
    ] as const) {
      await using _server = await serve(first, podPort, protocol);
      const answer = (from: Pick<TestNamespace, "run">, address: string): Promise<string> =>
        ask(from, address, hostPort, protocol);
      for (const [family, own, other] of [
        [4, pod4, neighbour.ips[0]],
        [6, pod6, neighbour.ips[1]],
      ] as const) {
        const host = worldAddresses.host[family];
        const gateway = family === 4 ? "10.71.0.1" : "fd71::1";
        const name = `${protocol} IPv${family}`;
        assert.equal(await answer(world, host), worldAddresses.world[family], `${name} from outside`);
        // Masqueraded, or the answer would go straight back, past the host.
        assert.equal(await answer(second, host), gateway, `${name} from another pod`);
        assert.equal(await answer(second, gateway), gateway, `${name} from another pod, by the gateway`);
        assert.equal(await answer(first, host), gateway, `${name} from the pod itself`);
        assert.equal(await answer(fromHost, host), host, `${name} from the host`);
        assert.equal(await ask(second, own, podPort, protocol), other, `${name} without a host port`);
      }
      assert.equal(await answer(fromHost, "127.0.0.1"), "10.71.0.1", `${protocol} from 127.0.0.1`);
      if (protocol === "udp") continue;
      // CVE-2025-67499: what passes through the host to the same port of somebody else is not the pod's.
      assert.equal(await answer(second, worldAddresses.world[4]), "ECONNREFUSED");
      assert.equal(await answer(second, worldAddresses.world[6]), "ECONNREFUSED");
    }
    await fixture.networks.check(pod.id, undefined, soon());
    await fixture.networks.detach(pod.id, undefined, soon());
    await fixture.restart();
    assert.equal(await rules(), before);
    assert.equal(await routeLocalnet("pm0"), "0");
    assert.equal(await ask(world, worldAddresses.host[4], 8080), "ECONNREFUSED");
    await fixture.networks.detach(neighbour.id, undefined, soon());
    await fixture.restart();
    await output("ip", "link", "delete", "pm0");
  });

  test(`portmap, ${backend}: one address of the host, and who has it is told`, needsRoot, async () => {
    await using fixture = await makeFixture();
    await using world = await makeWorld();
    await world.run("ip", "route", "add", "198.51.100.0/24", "via", worldAddresses.host[4]);
    await output("ip", "address", "add", "198.51.100.1/32", "dev", "lo");
    await fixture.configure(network(fixture, "pm1", { backend }));
    await using first = await makeNamespace();
    await using second = await makeNamespace();
    await using third = await makeNamespace();
    const one = await attach(fixture, first, [port(8080, 80, { hostIp: "198.51.100.1" })]);
    await using _one = await serve(first, 80);
    assert.equal(await ask(world, "198.51.100.1", 8080), worldAddresses.world[4]);
    assert.equal(await ask(world, worldAddresses.host[4], 8080), "ECONNREFUSED");
    // Another pod may have the port at every other address; the closer fit counts.
    const two = await attach(fixture, second, [port(8080, 81)]);
    await using _two = await serve(second, 81);
    assert.equal(await ask(world, "198.51.100.1", 8080), worldAddresses.world[4]);
    assert.equal(await ask(world, worldAddresses.host[4], 8080), worldAddresses.world[4]);
    for (const hostIp of ["198.51.100.1", ""]) {
      const taken = attach(fixture, third, [port(9999, 80), port(8080, 82, { hostIp })]);
      await assert.rejects(taken, /host port (198\.51\.100\.1:)?8080\/tcp is taken by/);
    }
    assert.deepEqual(
      fixture.networks
        .entries()
        .map(({ podId }) => podId)
        .toSorted(),
      [one.id, two.id].toSorted(),
    );
    assert.doesNotMatch(await rules(), /9999/);
    for (const { id } of [one, two]) await fixture.networks.detach(id, undefined, soon());
    await fixture.restart();
    assert.doesNotMatch(await rules(), /8080/);
    await output("ip", "link", "delete", "pm1");
    await output("ip", "address", "delete", "198.51.100.1/32", "dev", "lo");
  });
}

test(
  "portmap: the namespace may be gone, the rules may be flushed, another pod gets the port",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using world = await makeWorld();
    await fixture.configure(network(fixture, "pm2", { backend: "nftables" }));
    const gone = await makeNamespace();
    const pod = await attach(fixture, gone, [port(8080, 80)]);
    await gone[Symbol.asyncDispose]();
    await fixture.networks.detach(pod.id, undefined, soon());
    await fixture.restart();
    assert.equal(await rules(), "");
    await using next = await makeNamespace();
    await using _server = await serve(next, 80);
    const again = await attach(fixture, next, [port(8080, 80)]);
    await output("nft", "flush", "ruleset");
    await assert.rejects(
      fixture.networks.check(again.id, undefined, soon()),
      /has lost what is of container/,
    );
    await using other = await makeNamespace();
    await attach(fixture, other, [port(8081, 80)]);
    await using _other = await serve(other, 80);
    assert.equal(await ask(world, worldAddresses.host[4], 8081), worldAddresses.world[4]);
    for (const { podId } of fixture.networks.entries())
      await fixture.networks.detach(podId, undefined, soon());
    await fixture.restart();
    assert.equal(await rules(), "");
    await output("ip", "link", "delete", "pm2");
  },
);

for (const backend of ["nftables", "iptables"] as const) {
  test(`portmap, ${backend}: SCTP, there and back, both families`, needsSctp, async () => {
    await using fixture = await makeFixture();
    await using world = await makeWorld();
    await fixture.configure(network(fixture, "pm7", { backend }));
    await using pod = await makeNamespace();
    const { id } = await attach(fixture, pod, [port(8132, 80, { protocol: "sctp" })]);
    for (const family of [4, 6] as const) {
      await using _server = await start(pod, sctpProgram, ["serve", "80", worldAddresses.world[family]]);
      const answer = await world.run(
        process.execPath,
        sctpProgram,
        "ask",
        worldAddresses.host[family],
        "8132",
      );
      // The port that was asked, not the pod's.
      assert.equal(answer, "8132", `IPv${family}`);
    }
    await fixture.networks.check(id, undefined, soon());
    await fixture.networks.detach(id, undefined, soon());
    await fixture.restart();
    assert.doesNotMatch(await rules(), /8132|CNI-HOSTPORT/);
    await output("ip", "link", "delete", "pm7");
    await output("nft", "flush", "ruleset");
  });
}

test("portmap: a UDP sender that never pauses reaches the new pod", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using world = await makeWorld();
  await fixture.configure(network(fixture, "pm3"));
  const mapped = [port(8053, 53, { protocol: "udp" })];
  for (const family of [4, 6] as const) {
    const address = worldAddresses.host[family];
    // One socket, so one tracked connection, from before the first pod to after the second.
    const sender = world.run(process.execPath, "-e", senderScript, address, "8053");
    await using a = await makeNamespace();
    await using _a = await serve(a, 53, "udp");
    const first = await attach(fixture, a, mapped);
    await fixture.networks.detach(first.id, undefined, soon());
    await using b = await makeNamespace();
    await using _b = await serve(b, 53, "udp");
    const second = await attach(fixture, b, mapped);
    assert.equal(await sender, "answered");
    await fixture.networks.detach(second.id, undefined, soon());
  }
  await fixture.restart();
  await output("ip", "link", "delete", "pm3");
});

/** Sends from one port until it is answered, whatever errors come back meanwhile. */
const senderScript = `
  const [host, port] = process.argv.slice(1);
  const client = require("node:dgram").createSocket(host.includes(":") ? "udp6" : "udp4");
  client.on("message", () => { process.stdout.write("answered"); process.exit(); });
  client.on("error", () => undefined);
  setInterval(() => client.send("x", Number(port), host, () => undefined), 5);
  setTimeout(() => { process.stdout.write("never answered"); process.exit(); }, 20_000);
`;

test(
  "portmap: what listens on the host's 127.0.0.1 stays out of pods' reach (CVE-2020-8558)",
  needsRoot,
  async () => {
    for (const backend of ["nftables", "iptables"]) {
      await using fixture = await makeFixture();
      await fixture.configure(network(fixture, "pm4", { backend }));
      await using mapped = await makeNamespace();
      await using attacker = await makeNamespace();
      const pod = await attach(fixture, mapped, [port(8080, 80)]);
      const other = await attach(fixture, attacker);
      assert.equal(await routeLocalnet("pm4"), "1");
      await using _secret = await serve({ ...attacker, path: "/proc/thread-self/ns/net" }, 7777);
      assert.equal(await ask(fromHost, "127.0.0.1", 7777), "127.0.0.1");
      // A neighbour that routes 127.0.0.0/8 to the host, and takes answers from there.
      await attacker.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet");
      await attacker.run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo");
      await attacker.run(
        "ip",
        "route",
        "add",
        "127.0.0.1/32",
        "via",
        "10.71.0.1",
        "dev",
        "eth0",
        "src",
        other.ips[0] ?? "",
      );
      assert.equal(await ask(attacker, "127.0.0.1", 7777), "timeout");
      for (const { id } of [pod, other]) await fixture.networks.detach(id, undefined, soon());
      await fixture.restart();
      await output("ip", "link", "delete", "pm4");
      await output("nft", "flush", "ruleset");
    }
  },
);

test("portmap: the rules made by netlink are those that nft makes", needsRoot, async () => {
  const conf = {
    network: "made",
    ports: [],
    backend: "nftables" as const,
    snat: true,
    conditions: { 4: [], 6: [] },
    externalSetMarkChain: undefined,
    markMasqBit: 13,
  };
  await using host = openHostNetwork({ PATH: process.env["PATH"] ?? "" });
  for (const [masqAll, addresses] of [
    [false, ["10.71.0.2/24"]],
    [false, ["fd71::2/64"]],
    [true, ["10.71.0.2/24", "fd71::2/64"]],
    [false, ["0.0.0.2/8", "ffff:ffff::1/32"]],
  ] as const) {
    const pods = addresses.map(parsePrefix);
    const messages = tableMessages({ ...conf, masqAll }, pods);
    assert.equal(await host.netfilter.batch(messages ?? []), undefined);
    const made = await output("nft", "list", "ruleset");
    await output("nft", "flush", "ruleset");
    const script = `${chainScript({ ...conf, masqAll })}${subnetScript("made", pods)}`;
    await runNft("made", script, { PATH: process.env["PATH"] ?? "" }, soon());
    assert.equal(made, await output("nft", "list", "ruleset"));
    assert.match(made, /masquerade/);
    await output("nft", "flush", "ruleset");
  }
  const pods = [parsePrefix("10.71.0.2/24")];
  const conditions = { 4: ["ip", "saddr", "10.0.0.1"], 6: [] };
  assert.equal(tableMessages({ ...conf, masqAll: false, conditions }, pods), undefined);
  assert.equal(tableMessages({ ...conf, masqAll: false }, [parsePrefix("127.1.0.1/16")]), undefined);
});

test("portmap: garbage, and the daemon's end in between, leave no rule", needsRoot, async () => {
  for (const backend of ["nftables", "iptables"]) {
    await using fixture = await makeFixture();
    await fixture.configure({ ...network(fixture, "pm5", { backend }), cniVersion: "1.1.0" });
    await using kept = await makeNamespace();
    await using lost = await makeNamespace();
    const pod = await attach(fixture, kept, [port(8080, 80)]);
    const before = await rules();
    {
      // Another runtime with the same network, whose records are lost with its folder.
      await using other = await makeFixture();
      const same = network(fixture, "pm5", { backend });
      await other.configure({ ...same, cniVersion: "1.1.0" });
      await attach(other, lost, [port(8081, 80), port(8082, 80, { hostIp: "127.0.0.1" })]);
    }
    assert.notEqual(await rules(), before);
    await fixture.networks.collectGarbage(undefined, soon());
    assert.equal(await rules(), before);
    await fixture.networks.detach(pod.id, undefined, soon());
    await fixture.restart();
    await output("ip", "link", "delete", "pm5");
    await output("nft", "flush", "ruleset");
  }
});

test("portmap: conditions, masqAll and no snat", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using world = await makeWorld();
  await using pod = await makeNamespace();
  const cases: readonly (readonly [object, string, string])[] = [
    [{ masqAll: true }, "10.71.0.1", "10.71.0.1"],
    [{ snat: false }, worldAddresses.world[4], "timeout"],
    [{ conditionsV4: ["ip", "saddr", "!=", "192.0.2.2"] }, "ECONNREFUSED", "10.71.0.1"],
    [{ conditionsV4: ["!", "-s", "192.0.2.2"] }, "ECONNREFUSED", "10.71.0.1"],
    [{ backend: "iptables", masqAll: true }, "10.71.0.1", "10.71.0.1"],
    [{ markMasqBit: 5, backend: "iptables" }, worldAddresses.world[4], "10.71.0.1"],
  ];
  await using _server = await serve(pod, 80);
  for (const [keys, fromWorld, fromLocalhost] of cases) {
    await fixture.configure(network(fixture, "pm6", keys));
    const { id } = await attach(fixture, pod, [port(8080, 80)]);
    const name = JSON.stringify(keys);
    assert.equal(await ask(world, worldAddresses.host[4], 8080), fromWorld, `${name} from outside`);
    if (fromLocalhost !== "timeout")
      assert.equal(await ask(fromHost, "127.0.0.1", 8080), fromLocalhost, name);
    await fixture.networks.detach(id, undefined, soon());
    await fixture.restart();
    assert.doesNotMatch(await rules(), /8080|CNI-HOSTPORT/);
  }
  await output("ip", "link", "delete", "pm6");
  await output("nft", "flush", "ruleset");
});

async function touchIptables(name: string): Promise<void> {
  for (const table of ["nat", "raw"]) {
    await output(name, "-t", table, "-N", "TOUCHED");
    await output(name, "-t", table, "-A", "PREROUTING", "-j", "TOUCHED");
    await output(name, "-t", table, "-A", "OUTPUT", "-j", "TOUCHED");
  }
  await output(name, "-t", "nat", "-A", "POSTROUTING", "-j", "TOUCHED");
}
