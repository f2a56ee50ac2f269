import assert from "node:assert/strict";
import { symlink } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { writeResult } from "../../src/cni/result.ts";
import { makeFixture, makeJob, makePod, soon, type NetworkFixture } from "./fixture.ts";
import { enterPrivateNetwork, makeNamespace, output, type TestNamespace } from "./namespaces.ts";
import { available, normalised, plugins } from "./reference-plugins.ts";
import { ask, fromHost, hostLinks, serve } from "./traffic.ts";

await enterPrivateNetwork();

/** Who does a plugin's work: the built-in one, or the reference plugin, which is then found by another name. */
type Doer = "own" | "reference";

const types = ["bridge", "tuning", "bandwidth", "portmap", "firewall"] as const;
const hostPort = 8080;

/** Who does what, in the order of the chain; the last is the `ipam`. */
const mixes: readonly (readonly Doer[])[] = [
  ["own", "own", "own", "own", "own", "own"],
  ["reference", "reference", "reference", "reference", "reference", "reference"],
  ["own", "reference", "own", "reference", "own", "reference"],
  ["reference", "own", "reference", "own", "reference", "own"],
  ["own", "own", "own", "reference", "reference", "reference"],
  ["reference", "reference", "reference", "own", "own", "own"],
];

function nameOf(type: string, doer: Doer | undefined): string {
  return doer === "reference" ? `reference-${type}` : type;
}

/** One chain with everything in it; sbr, which is not built in, comes last. */
function chainOf(fixture: NetworkFixture, mix: readonly Doer[]): object {
  const rates = { ingressRate: 8e6, ingressBurst: 8e5, egressRate: 8e6, egressBurst: 8e5 };
  const keys: Record<(typeof types)[number], object> = {
    bridge: {
      bridge: "mix0",
      isDefaultGateway: true,
      mtu: 1400,
      ipam: {
        type: nameOf("host-local", mix[types.length]),
        ranges: [[{ subnet: "10.43.0.0/24" }], [{ subnet: "fd43::/64" }]],
        dataDir: fixture.dataDir,
      },
    },
    tuning: { sysctl: { "net.core.somaxconn": "511" }, dataDir: join(fixture.folder, "tuning") },
    bandwidth: rates,
    portmap: { capabilities: { portMappings: true } },
    firewall: { backend: "iptables" },
  };
  const chain = types.map((type, index) => ({ type: nameOf(type, mix[index]), ...keys[type] }));
  return { cniVersion: "1.0.0", name: "mixed", plugins: [...chain, { type: "sbr" }] };
}

interface Outcome {
  readonly result: unknown;
  readonly inside: unknown;
  readonly limits: unknown;
}

async function runChain(mix: readonly Doer[]): Promise<Outcome> {
  await using fixture = await makeFixture();
  await using pod = await makeNamespace();
  for (const type of [...types, "host-local"])
    await symlink(join(plugins, type), join(fixture.binDir, nameOf(type, "reference")));
  // A reference plugin looks for its ipam by its own name.
  for (const type of ["host-local", "sbr"]) await symlink(join(plugins, type), join(fixture.binDir, type));
  await fixture.configure(chainOf(fixture, mix));
  const portMappings = [{ protocol: "tcp" as const, containerPort: 80, hostPort, hostIp: "" }];
  const made = { ...makePod(), portMappings };
  const { result } = await fixture.networks.attach(made, pod.path, makeJob(), soon());
  const outcome = {
    result: withoutNames(normalised(writeResult(result, "1.0.0"))),
    inside: await insideOf(pod),
    limits: (await output("tc", "qdisc"))
      .match(/tbf .*? rate \S+/g)
      ?.map((text) => text.replace(/ dev \S+/, "")),
  };
  await using _server = await serve(pod, 80);
  assert.match(await ask(fromHost, "10.43.0.1", hostPort), /^10\.43\.0\.\d+$/, mix.join());
  await fixture.networks.detach(made.id, undefined, soon());
  await fixture.networks.detach(made.id, undefined, soon());
  await fixture.restart();
  assert.deepEqual(await fixture.reserved("mixed"), [], mix.join());
  assert.deepEqual((await hostLinks()).toSorted(), ["lo", "mix0"], mix.join());
  // Theirs leave their empty chains.
  assert.doesNotMatch(await output("nft", "list", "ruleset"), /10\.43\.0\.|fd43::|8080/, mix.join());
  await output("ip", "link", "delete", "mix0");
  await output("nft", "flush", "ruleset");
  return outcome;
}

function withoutNames(result: unknown): unknown {
  return JSON.parse(JSON.stringify(result).replaceAll(/bwp[0-9a-f]{12}/g, "IFB")) as unknown;
}

/** The pod's link, addresses, routes, rules of routing and parameters as the kernel has them. */
async function insideOf(pod: TestNamespace): Promise<object> {
  const [link] = JSON.parse(await pod.run("ip", "-json", "address", "show", "dev", "eth0")) as {
    mtu: number;
    addr_info: { local: string; prefixlen: number; scope: string }[];
  }[];
  const lines = async (...words: string[]): Promise<string[]> =>
    (await pod.run("ip", ...words))
      .split("\n")
      // Link-local and multicast ones come at the kernel's own pace; who made a route says nothing.
      .filter((line) => line.trim() !== "" && !/fe80|ff00|multicast|anycast/.test(line))
      .map((line) => line.replaceAll(/ (proto \w+|pref medium|metric \d+|linkdown)\b/g, "").trim())
      .toSorted();
  return {
    mtu: link?.mtu,
    addresses: link?.addr_info
      .filter(({ scope }) => scope === "global")
      .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    routes: [
      await lines("-4", "route", "show", "table", "all"),
      await lines("-6", "route", "show", "table", "all"),
    ],
    rules: [await lines("-4", "rule"), await lines("-6", "rule")],
    somaxconn: await pod.run("cat", "/proc/sys/net/core/somaxconn"),
  };
}

test(
  "mixed: built-in and reference plugins in one chain, in either order, give the same",
  available,
  async (t) => {
    const expected = await runChain(mixes[1] ?? []);
    assert.match(JSON.stringify(expected), /IFB.*10\.43\.0\.2\/24.*fd43::2\/64/);
    for (const mix of mixes) {
      await t.test(mix.join(", "), async () => {
        const outcome = await runChain(mix);
        assert.deepEqual(outcome, expected);
      });
    }
  },
);
