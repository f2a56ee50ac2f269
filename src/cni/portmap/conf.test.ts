import assert from "node:assert/strict";
import { test } from "node:test";
import type { PluginCall } from "../plugin.ts";
import { emptyResult, type CniResult } from "../result.ts";
import { formatPrefix } from "../ip.ts";
import { formatHostPort, podAddresses, readPortmapConf, wantsHostPorts } from "./conf.ts";

const conf = (keys: object, ports: readonly object[] = []): Record<string, unknown> => ({
  name: "n",
  ...keys,
  runtimeConfig: { portMappings: ports },
});

test("portmap conf: what is left out has the reference plugin's defaults", () => {
  assert.deepEqual(readPortmapConf({ name: "n" }), {
    network: "n",
    backend: undefined,
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    externalSetMarkChain: undefined,
    conditions: { 4: [], 6: [] },
    ports: [],
  });
  assert.equal(readPortmapConf({ name: "n", snat: null }).snat, true);
  assert.equal(readPortmapConf({ name: "n", snat: false }).snat, false);
});

test("portmap conf: ports, and which families they are of", () => {
  const { ports } = readPortmapConf(
    conf({}, [
      { hostPort: 8080, containerPort: 80, protocol: "TCP" },
      { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "0.0.0.0" },
      { hostPort: 53, containerPort: 53, protocol: "sctp", hostIP: "2001:DB8::1" },
      { hostPort: 1, containerPort: 1 },
    ]),
  );
  assert.deepEqual(ports.map(formatHostPort), ["8080/tcp", "53/udp", "[2001:db8::1]:53/sctp", "1/tcp"]);
  assert.deepEqual(
    ports.map(({ families }) => families),
    [[4, 6], [4], [6], [4, 6]],
  );
});

test("portmap conf: the backend that keys are written for", () => {
  for (const [keys, backend] of [
    [{}, undefined],
    [{ backend: "nftables" }, "nftables"],
    [{ externalSetMarkChain: "KUBE-MARK-MASQ" }, "iptables"],
    [{ conditionsV4: ["!", "-d", "192.0.2.0/24"] }, "iptables"],
    [{ conditionsV6: ["-d", "2001:db8::/32"] }, "iptables"],
    [{ conditionsV4: ["ip", "daddr", "192.0.2.1"] }, "nftables"],
    [{ conditionsV4: [] }, undefined],
    [{ conditionsV4: [""] }, undefined],
  ] as const) {
    assert.equal(readPortmapConf(conf(keys)).backend, backend, JSON.stringify(keys));
  }
});

test("portmap conf: what is refused, by name", () => {
  const port = { hostPort: 80, containerPort: 80 };
  for (const [keys, ports, problem] of [
    [{ backend: "firewalld" }, [], /portmap: backend "firewalld" is neither nftables nor iptables/],
    [{ backend: "nftables", externalSetMarkChain: "X" }, [], /backend for nftables/],
    [
      { conditionsV4: ["-d", "1.2.3.4"], conditionsV6: ["ip6", "daddr", "::1"] },
      [],
      /conditionsV4 is written for/,
    ],
    [{ markMasqBit: 5, externalSetMarkChain: "X" }, [], /exclude each other/],
    [{ markMasqBit: 32 }, [], /between 0 and 31/],
    [{ markMasqBit: -1 }, [], /markMasqBit: expected a whole number/],
    [{ externalSetMarkChain: "X\n-A" }, [], /not a chain's name/],
    [{ conditionsV4: ["ip saddr 1.2.3.4 accept\nadd table x"] }, [], /conditionsV4: cannot hold/],
    [{ snat: "yes" }, [], /snat: expected true or false/],
    [{}, [{ ...port, hostPort: 0 }], /hostPort 0 is not a port/],
    [{}, [{ ...port, containerPort: 65_536 }], /containerPort 65536 is not a port/],
    [{}, [{ hostPort: 80 }], /containerPort 0 is not a port/],
    [{}, [{ ...port, protocol: "icmp" }], /protocol "icmp" has no ports/],
    [{}, [{ ...port, hostIP: "localhost" }], /not an IP address: "localhost"/],
    [{}, [port, port], /host port 80\/tcp is asked for twice/],
    [{}, [port, { ...port, hostIP: "0.0.0.0" }], /80\/tcp is asked for twice/],
  ] as const) {
    assert.throws(() => readPortmapConf(conf(keys, ports)), problem, JSON.stringify([keys, ports]));
  }
  const both = [port, { ...port, protocol: "udp" }, { ...port, hostIP: "192.0.2.1" }];
  assert.equal(readPortmapConf(conf({}, both)).ports.length, 3);
});

test("portmap conf: DEL asks without reading what ADD may have refused", () => {
  for (const [value, wants] of [
    [{}, false],
    [{ runtimeConfig: 5 }, false],
    [{ runtimeConfig: { portMappings: [] } }, false],
    [{ runtimeConfig: { portMappings: [{ hostPort: -1 }] } }, true],
  ] as const) {
    assert.equal(wantsHostPorts(value), wants);
  }
});

test("portmap conf: the pod's first address of each family, of its own interface", () => {
  const result: CniResult = {
    ...emptyResult,
    interfaces: [
      { name: "br0" },
      { name: "eth0", sandbox: "/run/netns/x" },
      { name: "net1", sandbox: "/run/netns/x" },
    ],
    ips: [
      { address: "192.0.2.1/24", interface: 0 },
      { address: "10.9.0.2/24", interface: 2 },
      { address: "10.8.0.2/24", interface: 1 },
      { address: "10.8.0.3/24", interface: 1 },
      { address: "fd08::2/64" },
    ],
  };
  const call = {
    conf: { type: "portmap", name: "n" },
    ifname: "eth0",
    prevResult: result,
  } as unknown as PluginCall;
  assert.deepEqual(podAddresses(call).map(formatPrefix), ["10.8.0.2/24", "fd08::2/64"]);
  const alone = { conf: call.conf, ifname: "eth0" } as unknown as PluginCall;
  assert.throws(() => podAddresses(alone), /portmap: it must follow another plugin/);
});
