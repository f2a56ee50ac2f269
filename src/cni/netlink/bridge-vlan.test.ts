import assert from "node:assert/strict";
import { test } from "node:test";
import {
  addPortVlan,
  addTrunk,
  decodeBridgeVlans,
  deletePortVlan,
  enableVlanFiltering,
} from "./bridge-vlan.ts";

function hex(...groups: readonly string[]): string {
  return groups.join("").replaceAll(" ", "");
}

const port = "07 00 0000 05000000 00000000 00000000"; // struct ifinfomsg: AF_BRIDGE, index 5

for (const [name, message, type, expected] of [
  [
    "a bridge keeps VLANs apart",
    enableVlanFiltering(5),
    16,
    hex(
      "00 00 0000 05000000 00000000 00000000",
      "1c00 1280 0b00 0100 62726964676500 00", // IFLA_LINKINFO { IFLA_INFO_KIND "bridge"
      "0c00 0280 0500 0700 01000000", // IFLA_INFO_DATA { IFLA_BR_VLAN_FILTERING 1 } }
    ),
  ],
  [
    "a port's VLAN without a tag",
    addPortVlan(5, 7),
    19,
    hex(port, "1400 1a80 0600 0000 0100 0000", "0800 0200 0600 0700"),
  ],
  [
    "a port's VLANs with tags",
    addTrunk(5, [
      { first: 9, last: 9 },
      { first: 16, last: 18 },
    ]),
    19,
    hex(
      port,
      "2400 1a80 0600 0000 0100 0000",
      "0800 0200 0000 0900",
      "0800 0200 0800 1000",
      "0800 0200 1000 1200",
    ),
  ],
  [
    "a port out of a VLAN",
    deletePortVlan(5, 1),
    17,
    hex(port, "1400 1a80 0600 0000 0100 0000", "0800 0200 0000 0100"),
  ],
] as const) {
  test(`netlink: ${name}`, () => {
    assert.equal(message.payload.toString("hex"), expected);
    assert.deepEqual([message.type, message.flags], [type, 5]);
  });
}

test("netlink: how a bridge keeps VLANs apart, and a kernel that says nothing of it", () => {
  const header = "00 00 0100 05000000 43100000 00000000";
  const bridge = hex(header, "1800 1200 1400 0200", "0500 0700 01000000", "0600 2700 0100 0000");
  assert.deepEqual(decodeBridgeVlans(Buffer.from(bridge, "hex")), { filtering: "on", defaultVlan: 1 });
  assert.deepEqual(decodeBridgeVlans(Buffer.from(hex(header), "hex")), { filtering: "off", defaultVlan: 0 });
});
