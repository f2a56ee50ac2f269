import assert from "node:assert/strict";
import { test } from "node:test";
import { formatIp, parseIp, parsePrefix } from "../ip.ts";
import { guardScript, unguardScript } from "./guard.ts";
import type { Peer } from "./peers.ts";
import { planOverlay, tunnelMac } from "./plan.ts";

const peers: Peer[] = [1, 2].map((number) => ({
  address: parseIp(`192.0.2.${number}`),
  subnets: [parsePrefix(`10.${number}.0.0/24`), parsePrefix(`fd0${number}::/64`)],
}));
const local = parseIp("192.0.2.1");

test("overlay: hardware addresses are the same on every host, local and of one host each", () => {
  const mac = tunnelMac(42, parseIp("192.0.2.2"));
  assert.match(mac, /^0e(:[0-9a-f]{2}){5}$/);
  assert.equal(mac, tunnelMac(42, parseIp("192.0.2.2")));
  assert.notEqual(mac, tunnelMac(42, local));
  assert.notEqual(mac, tunnelMac(43, parseIp("192.0.2.2")));
});

test("overlay: routed needs a route, a gateway and a host for each of the others' subnets", () => {
  const { neighbours, routes } = planOverlay({ vni: 42, mode: "routed" }, local, peers, [
    parseIp("10.1.0.1"),
  ]);
  const mac = tunnelMac(42, parseIp("192.0.2.2"));
  assert.deepEqual(
    routes.map(({ destination, gateway, source }) => [
      formatIp(destination.address),
      formatIp(gateway).slice(0, 6),
      source === undefined ? "" : formatIp(source),
    ]),
    [
      ["10.2.0.0", "10.2.0", "10.1.0.1"],
      ["fd02::", "fe80::", ""],
    ],
  );
  assert.deepEqual(
    neighbours.map((entry) => [entry.table, entry.mac, formatIp(entry.address).slice(0, 6)]),
    [
      ["fdb", mac, "192.0."],
      ["arp", mac, "10.2.0"],
      ["arp", mac, "fe80::"],
    ],
  );
});

test("overlay: bridged needs the other hosts alone", () => {
  assert.deepEqual(planOverlay({ vni: 42, mode: "bridged" }, local, peers, []), {
    neighbours: [{ table: "fdb", mac: "00:00:00:00:00:00", address: parseIp("192.0.2.2") }],
    routes: [],
  });
});

test("overlay: only peers get through the guard, and nobody where there is none", () => {
  const overlay = { vni: 42, port: 4789 };
  assert.equal(
    guardScript(overlay, local, [parseIp("192.0.2.3"), parseIp("192.0.2.2")]),
    `table inet berth_vxlan_42_4789
delete table inet berth_vxlan_42_4789
table inet berth_vxlan_42_4789 {
  chain input {
    type filter hook input priority filter; policy accept;
    ip saddr != { 192.0.2.2, 192.0.2.3 } udp dport 4789 @th,96,24 42 drop
  }
}
`,
  );
  assert.match(guardScript(overlay, local, []), /\n {4}udp dport 4789 @th,96,24 42 drop\n/);
  assert.match(guardScript(overlay, parseIp("2001:db8::1"), [parseIp("2001:db8::2")]), / ip6 saddr != /);
  assert.equal(
    unguardScript(overlay),
    "table inet berth_vxlan_42_4789\ndelete table inet berth_vxlan_42_4789\n",
  );
});
