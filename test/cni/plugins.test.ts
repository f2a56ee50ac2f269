import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runPluginProgram } from "../../src/cni/program.ts";
import { enterPrivateNetwork, makeNamespace, output, type TestNamespace } from "./namespaces.ts";
import { available, callReference, normalised, type ReferenceCall } from "./reference-plugins.ts";

await enterPrivateNetwork();

/** A chain of plugins as a runtime calls it, in the order of ADD. */
type Chain = readonly { readonly type: string; readonly ipam?: object; readonly [key: string]: unknown }[];

const ranges = (...subnets: string[]): object => ({
  type: "host-local",
  ranges: subnets.map((subnet) => [{ subnet }]),
});
const bridge = {
  type: "bridge",
  bridge: "cmp0",
  isDefaultGateway: true,
  ipam: ranges("10.81.0.0/24", "fd81::/64"),
};
const fixed = {
  type: "static",
  addresses: [
    { address: "10.82.0.2/24", gateway: "10.82.0.1" },
    { address: "fd82::2/64", gateway: "fd82::1" },
  ],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  dns: { nameservers: ["10.82.0.1"], search: ["x.y"] },
};
const rates = {
  ingressRate: 8_000_000,
  ingressBurst: 800_000,
  egressRate: 16_000_000,
  egressBurst: 1_600_000,
};

/** What both are called with: CNI_ARGS last. */
const cases: readonly (readonly [string, string, Chain, string?])[] = [
  ["1.0.0", "ptp, both families", [{ type: "ptp", ipam: fixed }]],
  ["0.3.1", "ptp, mtu, dns", [{ type: "ptp", mtu: 1400, dns: { nameservers: ["1.2.3.4"] }, ipam: fixed }]],
  [
    "1.0.0",
    "ptp, ranges and routes",
    [
      {
        type: "ptp",
        ipam: {
          ...ranges("10.81.0.0/24"),
          routes: [{ dst: "10.0.0.0/8" }, { dst: "0.0.0.0/0", gw: "10.81.0.1" }],
        },
      },
    ],
  ],
  ["1.0.0", "macvlan", [{ type: "macvlan", master: "up1", ipam: fixed }]],
  [
    "1.0.0",
    "macvlan, the default route's master",
    [{ type: "macvlan", mode: "private", mtu: 1300, ipam: fixed }],
  ],
  ["0.4.0", "macvlan, no addresses, mac", [{ type: "macvlan", master: "up1", mac: "0a:00:00:00:00:07" }]],
  [
    "1.0.0",
    "macvlan, mac of the caller",
    [
      {
        type: "macvlan",
        master: "up1",
        mode: "vepa",
        runtimeConfig: { mac: "0a:00:00:00:00:09" },
        ipam: fixed,
      },
    ],
  ],
  [
    "1.0.0",
    "static, addresses of the caller",
    [{ type: "macvlan", master: "up1", ipam: fixed }],
    "IgnoreUnknown=1;IP=10.83.0.5/24;GATEWAY=10.83.0.1",
  ],
  [
    "1.0.0",
    "static, addresses by capability",
    [
      {
        type: "macvlan",
        master: "up1",
        runtimeConfig: { ips: ["10.84.0.5/24"] },
        ipam: { ...fixed, routes: [] },
      },
    ],
  ],
  [
    "1.0.0",
    "static, addresses by args",
    [
      {
        type: "bridge",
        bridge: "cmp0",
        args: { cni: { ips: ["10.85.0.5/24"] } },
        ipam: { ...fixed, routes: [], dns: {} },
      },
    ],
  ],
  [
    "1.0.0",
    "tuning",
    [
      bridge,
      {
        type: "tuning",
        sysctl: {
          "net.core.somaxconn": "511",
          "net.ipv4.conf.eth0.arp_filter": "1",
          "net/ipv4/ip_unprivileged_port_start": "80",
        },
        mac: "0a:00:00:00:00:08",
        mtu: 1350,
        promisc: true,
        allmulti: true,
      },
    ],
  ],
  ["0.4.0", "tuning, mac by CNI_ARGS", [bridge, { type: "tuning" }], "IgnoreUnknown=1;MAC=0a:00:00:00:00:0b"],
  ["1.0.0", "tuning, nothing", [bridge, { type: "tuning" }]],
  ["1.0.0", "bandwidth", [bridge, { type: "bandwidth", ...rates }]],
  ["1.0.0", "bandwidth by capability", [bridge, { type: "bandwidth", runtimeConfig: { bandwidth: rates } }]],
  [
    "1.0.0",
    "bandwidth, one way",
    [
      { type: "ptp", ipam: fixed },
      { type: "bandwidth", egressRate: 1_000_000, egressBurst: 100_000_000 },
    ],
  ],
  ["1.0.0", "bandwidth, nothing", [bridge, { type: "bandwidth" }]],
  [
    "1.0.0",
    "portmap",
    [
      bridge,
      {
        type: "portmap",
        runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
      },
    ],
  ],
  [
    "1.0.0",
    "bridge, mac by CNI_ARGS",
    [{ ...bridge, hairpinMode: true }],
    "IgnoreUnknown=1;MAC=0a:00:00:00:00:0c",
  ],
  ["0.4.0", "bridge, layer 2", [{ type: "bridge", bridge: "cmp0", promiscMode: true }]],
  ["0.4.0", "portmap, nothing", [bridge, { type: "portmap" }]],
];

for (const [version, name, chain, args] of cases) {
  test(`plugins: the same as the reference plugins: ${version} ${name}`, available, async () => {
    const theirs = await observe(callReference, version, chain, args);
    const ours = await observe(callBuiltIn, version, chain, args);
    assert.deepEqual(ours.result, theirs.result);
    assert.deepEqual(ours.inside, theirs.inside);
    assert.deepEqual(ours.limits, theirs.limits);
    assert.equal(ours.left, "");
    assert.deepEqual(ours.restored, theirs.restored);
  });
}

async function callBuiltIn(call: ReferenceCall): Promise<string> {
  const { exitCode, stdout } = await runPluginProgram({
    type: call.type,
    environment: {
      PATH: process.env["PATH"],
      CNI_COMMAND: call.command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netns,
      CNI_IFNAME: "eth0",
      CNI_ARGS: call.args ?? "",
      CNI_PATH: "/nonexistent",
    },
    stdin: JSON.stringify(call.conf),
    signal: AbortSignal.timeout(20_000),
    note: () => undefined,
  });
  assert.equal(exitCode, 0, `${call.type} ${call.command}: ${stdout}`);
  return stdout;
}

interface Observation {
  readonly result: unknown;
  readonly inside: unknown;
  readonly limits: unknown;
  /** The host's links that DEL left. */
  readonly left: string;
  readonly restored: unknown;
}

async function observe(
  call: typeof callReference,
  version: string,
  chain: Chain,
  args: string | undefined,
): Promise<Observation> {
  const dataDir = await mkdtemp(join(tmpdir(), "berth-plugins-"));
  await using undo = new AsyncDisposableStack();
  undo.defer(() => rm(dataDir, { recursive: true }));
  undo.defer(async () => {
    for (const link of ["cmp0", "up1"]) await output("ip", "link", "delete", link).catch(() => undefined);
    await output("nft", "flush", "ruleset");
  });
  await using namespace = await makeNamespace();
  await makeMaster();
  const before = await hostLinks();
  const confs = chain.map((conf) => complete(conf, version, dataDir));
  const calls = confs.map((conf) => ({
    type: conf.type,
    containerId: "c1",
    netns: namespace.path,
    ...(args === undefined ? {} : { args }),
    conf,
  }));
  let prevResult: object | undefined;
  for (const one of calls) {
    const text = await call({ command: "ADD", ...one, conf: { ...one.conf, prevResult } });
    prevResult = JSON.parse(text) as object;
  }
  // Theirs fail here for what they have set up themselves: IFNAME, ports of two families, routes without a gateway.
  if (call === callBuiltIn && version !== "0.3.1") {
    for (const one of calls) await call({ command: "CHECK", ...one, conf: { ...one.conf, prevResult } });
  }
  const inside = await insideOf(namespace);
  const limits = await limitsOf();
  for (const one of calls.toReversed())
    await call({ command: "DEL", ...one, conf: { ...one.conf, prevResult } });
  // Again, and with the namespace gone: both succeed.
  for (const one of calls.toReversed())
    await call({ command: "DEL", ...one, conf: { ...one.conf, prevResult } });
  for (const one of calls.toReversed()) await call({ command: "DEL", ...one, netns: "", conf: one.conf });
  const left = (await hostLinks()).filter((link) => !before.includes(link) && link !== "cmp0").join(" ");
  const restored = await insideOf(namespace);
  return { result: normalised(prevResult ?? {}), inside, limits, left, restored };
}

/** What differs from one case to the next is told to the plugin. */
function complete(conf: Chain[number], version: string, dataDir: string): Chain[number] {
  const ipam = conf.ipam === undefined ? {} : { ipam: { ...conf.ipam, dataDir } };
  return {
    ...conf,
    ...ipam,
    ...(conf.type === "tuning" ? { dataDir } : {}),
    name: "cmp",
    cniVersion: version,
  };
}

/** A link for macvlan, which the default route leads to. */
async function makeMaster(): Promise<void> {
  await output("ip", ..."link add up1 type veth peer name up2".split(" "));
  for (const link of ["up1", "up2"]) await output("ip", "link", "set", link, "up");
  await output("ip", "address", "add", "192.0.2.1/24", "dev", "up1");
  await output("ip", "route", "add", "default", "via", "192.0.2.254", "dev", "up1");
}

async function hostLinks(): Promise<string[]> {
  const links = JSON.parse(await output("ip", "-json", "link")) as { ifname: string }[];
  return links.map(({ ifname }) => ifname);
}

/** The pod's link, addresses, routes and parameters as the kernel has them. */
async function insideOf(namespace: TestNamespace): Promise<object> {
  const links = JSON.parse(await namespace.run("ip", "-details", "-json", "address")) as {
    ifname: string;
    mtu: number;
    promiscuity: number;
    allmulti?: number;
    flags: string[];
    linkinfo?: { info_kind: string; info_data?: { mode?: string } };
    addr_info: { local: string; prefixlen: number; broadcast?: string; scope: string }[];
  }[];
  const routes = await Promise.all(["-4", "-6"].map((family) => namespace.run("ip", family, "route")));
  const parameters = ["core/somaxconn", "ipv4/ip_unprivileged_port_start", "ipv4/conf/eth0/arp_filter"];
  return {
    links: links.map(({ ifname, mtu, flags, linkinfo, addr_info }) => ({
      ifname,
      mtu,
      flags: flags.filter((flag) => ["UP", "PROMISC", "ALLMULTI"].includes(flag)),
      kind: linkinfo?.info_kind,
      mode: linkinfo?.info_data?.mode,
      addresses: addr_info
        .filter(({ scope }) => scope !== "link")
        .map(({ local, prefixlen, broadcast }) => ({ local, prefixlen, broadcast })),
    })),
    routes: routes
      .flatMap((text) => text.split("\n"))
      // Link-local ones come and go with the kernel's own pace; who made a route says nothing.
      .filter((line) => line.trim() !== "" && !/^(fe80|ff00)/.test(line))
      .map((line) => line.replaceAll(/ (proto \w+|linkdown|pref medium|metric \d+)\b/g, "").trim())
      .toSorted(),
    parameters: await Promise.all(
      parameters.map((name) => namespace.run("cat", `/proc/sys/net/${name}`).catch(() => "none")),
    ),
  };
}

/** The token buckets and what leads to them, links by their kind. */
async function limitsOf(): Promise<string[]> {
  const text = `${await output("tc", "qdisc")}${(await Promise.all((await hostLinks()).map((link) => output("tc", "filter", "show", "dev", link, "parent", "ffff:").catch(() => "")))).join("")}`;
  return (
    text
      .replaceAll(/veth[0-9a-f]{8}/g, "VETH")
      .split("\n")
      // Theirs adds a second action, which no packet comes to after the first.
      .filter((line) => /tbf|ingress|mirred|u32/.test(line) && !line.includes("action order 2"))
      .map((line) => line.trim().replace(/ (index|ref|bind) .*$/, ""))
      .toSorted()
  );
}
