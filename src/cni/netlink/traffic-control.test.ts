import assert from "node:assert/strict";
import { test } from "node:test";
import { addIfb, addMacvlan, getLinkByIndex } from "./link.ts";
import type { NetlinkMessage } from "./message.ts";
import { addRoute, decodeRoute, listRoutes, lookUpRoute } from "./route.ts";
import { addIngress, addTokenBucket, decodeQueue, listQueues, redirectArriving } from "./traffic-control.ts";
import { parseIp, parsePrefix } from "../ip.ts";

/** Written as groups so that a reader can hold them against the kernel's structs. */
function hex(...groups: readonly string[]): string {
  return groups.join("").replaceAll(" ", "");
}

const bucket = { rate: 1_000_000n, buffer: 0x12345, limit: 0x54321 };
const tcmsg = "00000000 05000000";
const ifinfomsg = "00 00 0000 00000000 00000000 00000000";

const messages: readonly (readonly [string, NetlinkMessage, number, number, string])[] = [
  [
    "a token bucket",
    addTokenBucket(5, bucket),
    36,
    0x605,
    hex(
      tcmsg,
      "00000100 ffffffff 00000000", // handle 1:, parent root
      "0800 0100 74626600", // TCA_KIND "tbf"
      "2c00 0280 2800 0100", // TCA_OPTIONS { TCA_TBF_PARMS
      "00 01 0000 0000 0000 40420f00", // rate: Ethernet, 1000000
      "00 00 0000 0000 0000 00000000", // peakrate
      "21430500 45230100 00000000", // limit, buffer, mtu
    ),
  ],
  [
    "the place for filters of what arrives",
    addIngress(5),
    36,
    0x605,
    hex(tcmsg, "0000ffff f1ffffff 00000000", "0c00 0100 696e677265737300", "0400 0280"),
  ],
  [
    "everything that arrives redirected",
    redirectArriving(5, 9),
    44,
    0x605,
    hex(
      tcmsg,
      "00000000 0000ffff 00030100", // parent ffff:, priority 1, ETH_P_ALL
      "0800 0100 75333200", // TCA_KIND "u32"
      "6800 0280", // TCA_OPTIONS {
      "0800 0100 01000100", // TCA_U32_CLASSID 1:1
      "2400 0500 01 00 01 00 0000 0000 0000 0000 00000000", // TCA_U32_SEL: terminal, one key
      "00000000 00000000 00000000 00000000", // the key: everything
      "3800 0780 3400 0180", // TCA_U32_ACT { 1 {
      "0b00 0100 6d697272656400 00", // TCA_ACT_KIND "mirred"
      "2400 0280 2000 0200", // TCA_ACT_OPTIONS { TCA_MIRRED_PARMS
      "00000000 00000000 04000000 00000000 00000000 01000000 09000000", // stolen, egress redirect, ifindex
    ),
  ],
  ["all queueing disciplines", listQueues(), 38, 0x301, hex("00".repeat(20))],
  [
    "an ifb",
    addIfb({ name: "i0", mtu: 1400, queueLength: 0, flags: 1 }),
    16,
    0x605,
    hex(
      "00 00 0000 00000000 01000000 01000000",
      "0700 0300 693000 00",
      "0800 0400 78050000",
      "0800 0d00 00000000", // IFLA_TXQLEN
      "0c00 1280 0800 0100 69666200",
    ),
  ],
  [
    "a macvlan in another namespace",
    addMacvlan({ name: "e", link: 7, mode: "bridge", netnsFd: 33, broadcastQueue: 500 }),
    16,
    0x605,
    hex(
      ifinfomsg,
      "0600 0300 6500 0000",
      "0800 0500 07000000", // IFLA_LINK
      "0800 1c00 21000000", // IFLA_NET_NS_FD
      "2400 1280 0c00 0100 6d6163766c616e00", // IFLA_LINKINFO { IFLA_INFO_KIND "macvlan"
      "1400 0280 0800 0100 04000000 0800 0700 f4010000", // IFLA_INFO_DATA { MODE, BC_QUEUE_LEN }
    ),
  ],
  [
    "a link by its index",
    getLinkByIndex(7),
    18,
    0x5,
    hex("00 00 0000 07000000 00000000 00000000", "0800 1d00 08000000"),
  ],
  [
    "the way to an address",
    lookUpRoute(parseIp("10.1.0.2")),
    26,
    0x5,
    hex("02 20 00 00 00 00 00 00 00000000", "0800 0100 0a010002"),
  ],
  ["all routes", listRoutes(6), 26, 0x301, hex("0a 00 00 00 00 00 00 00 00000000")],
  [
    "a route with a source",
    addRoute(3, { destination: parsePrefix("10.1.0.1/32"), source: parseIp("10.1.0.2") }),
    24,
    0x605,
    hex(
      "02 20 00 00 fe 03 fd 01 00000000",
      "0800 0f00 fe000000",
      "0800 0400 03000000",
      "0800 0100 0a010001",
      "0800 0700 0a010002", // RTA_PREFSRC
    ),
  ],
];

for (const [what, message, type, flags, payload] of messages) {
  test(`netlink codec: ${what}`, () => {
    assert.equal(message.type, type);
    assert.equal(message.flags, flags);
    assert.equal(message.payload.toString("hex"), payload);
  });
}

test("netlink codec: a token bucket comes back, faster than 32 bits too", () => {
  for (const rate of [1_000_000n, 10_000_000_000n]) {
    const { payload } = addTokenBucket(5, { ...bucket, rate });
    assert.deepEqual(decodeQueue(payload), { link: 5, kind: "tbf", bucket: { ...bucket, rate } });
  }
  assert.deepEqual(decodeQueue(addIngress(6).payload), { link: 6, kind: "ingress" });
});

test("netlink codec: routes as the kernel sends them", () => {
  const header = "02 00 00 00 fe 03 00 01 00000000";
  const route = Buffer.from(hex(header, "0800 0f00 fe000000", "0800 0400 03000000"), "hex");
  assert.deepEqual(decodeRoute(route), { prefixLength: 0, table: 254, link: 3 });
  assert.deepEqual(decodeRoute(Buffer.from(hex(header), "hex")), {
    prefixLength: 0,
    table: 254,
    link: undefined,
  });
});
