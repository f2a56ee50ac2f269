import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp, parsePrefix } from "../ip.ts";
import { decodeLink } from "./link.ts";
import { addNeighbour, decodeNeighbour, deleteNeighbour, type Neighbour } from "./neighbour.ts";
import { addTunnelRoute, decodeTunnelRoute, type TunnelRoute } from "./tunnel-route.ts";
import { addVxlan, decodeVxlan, type VxlanSettings } from "./vxlan.ts";

const hex = (payload: Buffer): string => payload.toString("hex");

test("tunnel: a device says what it was made of", () => {
  for (const local of ["192.0.2.1", "2001:db8::1"]) {
    const settings: VxlanSettings = { vni: 42, port: 4789, local: parseIp(local), learning: "off" };
    const { payload } = addVxlan("vxlan42", "0e:00:00:00:00:01", 1450, settings);
    assert.deepEqual(decodeVxlan(payload), settings);
    const link = decodeLink(payload);
    assert.deepEqual(
      [link.name, link.mac, link.mtu, link.kind],
      ["vxlan42", "0e:00:00:00:00:01", 1450, "vxlan"],
    );
    // IFLA_VXLAN_PORT is in network order.
    assert.ok(hex(payload).includes("06000f0012b5"));
  }
  assert.equal(decodeVxlan(Buffer.alloc(16)), undefined);
});

test("tunnel: neighbours of both tables, byte by byte", () => {
  const fdb: Neighbour = { table: "fdb", mac: "0e:00:00:00:00:01", address: parseIp("192.0.2.2") };
  const added = addNeighbour(7, fdb);
  // struct ndmsg: AF_BRIDGE, link 7, NUD_PERMANENT, NTF_SELF; NDA_DST; NDA_LLADDR, padded.
  assert.equal(
    hex(added.payload),
    "070000000700000080000200" + "08000100c0000202" + "0a0002000e00000000010000",
  );
  // ACK, CREATE and APPEND: a hardware address may have several hosts.
  assert.equal(added.flags, 0x0c05);
  assert.deepEqual(decodeNeighbour(added.payload), { ...fdb, index: 7 });
  assert.equal(hex(deleteNeighbour(7, fdb).payload), hex(added.payload));
  const arp: Neighbour = { table: "arp", mac: "0e:00:00:00:00:01", address: parseIp("fe80::1") };
  assert.equal(addNeighbour(7, arp).flags, 0x0505);
  assert.deepEqual(decodeNeighbour(addNeighbour(7, arp).payload), { ...arp, index: 7 });
  const learnt = Buffer.from(added.payload);
  learnt.writeUInt16LE(0x02, 8);
  assert.equal(decodeNeighbour(learnt), undefined);
});

test("tunnel: routes with a gateway that is on the link by decree", () => {
  const route: TunnelRoute = {
    destination: parsePrefix("10.2.0.0/24"),
    gateway: parseIp("10.2.0.0"),
    source: parseIp("10.1.0.1"),
  };
  const { payload } = addTunnelRoute(7, route);
  // struct rtmsg: AF_INET, /24, table main, static, universe, unicast, RTNH_F_ONLINK.
  assert.equal(hex(payload.subarray(0, 12)), "0218000" + "0fe04000104000000");
  assert.deepEqual(decodeTunnelRoute(payload), { ...route, index: 7 });
  const other = Buffer.from(payload);
  other.writeUInt8(100, 4);
  assert.equal(decodeTunnelRoute(other), undefined);
});
