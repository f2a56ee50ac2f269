import assert from "node:assert/strict";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, test } from "node:test";
import {
  bridgeNetwork,
  makeFixture,
  makeJob,
  makePod,
  soon,
  textOf,
  type NetworkFixture,
} from "./fixture.ts";
import {
  enterPrivateNetwork,
  makeNamespace,
  makeWorld,
  needsRoot,
  output,
  worldAddresses,
} from "./namespaces.ts";
import { ask, serve } from "./traffic.ts";

await enterPrivateNetwork();
beforeEach(async () => {
  if (!("skip" in needsRoot)) await output("nft", "flush", "ruleset");
});

function network(fixture: NetworkFixture, bridge: string, subnets: readonly string[], keys: object): object {
  const base = bridgeNetwork(fixture, bridge, subnets, { ipMasq: true });
  return { ...base, plugins: [...base.plugins, { type: "firewall", ...keys }] };
}

test(
  "firewall: pods' connections pass where the host forwards nothing, and no rule is left",
  needsRoot,
  async () => {
    await using fixture = await makeFixture();
    await using world = await makeWorld();
    for (const name of ["iptables", "ip6tables"]) await output(name, "-P", "FORWARD", "DROP");
    await using _outside = await serve(world, 80);
    await using pod = await makeNamespace();
    await fixture.configure(bridgeNetwork(fixture, "fw0", ["10.61.0.0/24", "fd61::/64"], { ipMasq: true }));
    const blocked = makePod();
    await fixture.networks.attach(blocked, pod.path, makeJob(), soon());
    assert.equal(await ask(pod, worldAddresses.world[4], 80), "timeout");
    await fixture.networks.detach(blocked.id, undefined, soon());
    await fixture.configure(network(fixture, "fw0", ["10.61.0.0/24", "fd61::/64"], { backend: "iptables" }));
    const passing = makePod();
    await fixture.networks.attach(passing, pod.path, makeJob(), soon());
    assert.equal(await ask(pod, worldAddresses.world[4], 80), worldAddresses.host[4]);
    assert.equal(await ask(pod, worldAddresses.world[6], 80), worldAddresses.host[6]);
    await fixture.networks.check(passing.id, undefined, soon());
    await output("iptables", "-F", "CNI-FORWARD");
    await assert.rejects(
      fixture.networks.check(passing.id, undefined, soon()),
      /iptables has lost rules of 10\.61\.0\.\d/,
    );
    await output("iptables", "-A", "CNI-FORWARD", "-s", "10.61.0.3/32", "-j", "ACCEPT");
    await fixture.networks.detach(passing.id, undefined, soon());
    await fixture.restart();
    for (const name of ["iptables-save", "ip6tables-save"]) {
      assert.doesNotMatch(await output(name, "-t", "filter"), /CNI-/);
    }
    await output("ip", "link", "delete", "fw0");
  },
);

for (const backend of ["iptables", "nftables"]) {
  test(`firewall, ${backend}: a network is kept from another one`, needsRoot, async () => {
    await using fixture = await makeFixture();
    await using one = await makeNamespace();
    await using two = await makeNamespace();
    await using three = await makeNamespace();
    const policy = { backend, ingressPolicy: "same-bridge" };
    const place = async (bridge: string, subnet: string, path: string): Promise<string> => {
      await fixture.configure(network(fixture, bridge, [subnet], policy));
      const { ips } = await fixture.networks.attach(makePod(), path, makeJob(), soon());
      return ips[0] ?? "";
    };
    const address = await place("fw1", "10.62.0.0/24", one.path);
    await place("fw1", "10.62.0.0/24", two.path);
    await place("fw2", "10.63.0.0/24", three.path);
    await using _server = await serve(one, 80);
    assert.match(await ask(two, address, 80), /^10\.62\./);
    assert.equal(await ask(three, address, 80), "timeout");
    for (const { podId } of fixture.networks.entries())
      await fixture.networks.detach(podId, undefined, soon());
    await fixture.restart();
    for (const bridge of ["fw1", "fw2"]) await output("ip", "link", "delete", bridge);
  });
}

test("firewall: firewalld is told by its own command", needsRoot, async () => {
  await using fixture = await makeFixture();
  await using pod = await makeNamespace();
  const said = join(fixture.folder, "said");
  const program = join(fixture.folder, "firewall-cmd");
  await writeFile(program, `#!/bin/sh\necho "$@" >> ${said}\n`);
  await chmod(program, 0o755);
  await using told = await makeFixture({ PATH: `${fixture.folder}:${process.env["PATH"] ?? ""}` });
  await told.configure(network(told, "fw3", ["10.64.0.0/24"], { firewalldZone: "pods" }));
  const one = makePod();
  await told.networks.attach(one, pod.path, makeJob(), soon());
  await told.networks.check(one.id, undefined, soon());
  await told.networks.detach(one.id, undefined, soon());
  const lines = (await textOf(said)).split("\n").filter((line) => line !== "" && line !== "--state");
  const source = (change: string): string => `--zone=pods --${change}-source=10.64.0.2`;
  assert.deepEqual(lines, [source("add"), source("query"), source("remove")]);
  await told.restart();
  await output("ip", "link", "delete", "fw3");
});
