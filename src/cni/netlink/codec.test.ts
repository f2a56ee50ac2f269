import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../../core/errors.ts";
import { parseIp, parsePrefix } from "../ip.ts";
import { addAddress, decodeAddress, listAddresses } from "./address.ts";
import {
  addBridge,
  addVeth,
  decodeLink,
  deleteLink,
  deleteLinkByName,
  deleteLinkGroup,
  getLink,
  listLinks,
  setBridgePort,
  setLink,
  setLinkAlias,
  setLinkGroup,
} from "./link.ts";
import {
  attributeText,
  decodeAcknowledgement,
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  type NetlinkMessage,
} from "./message.ts";
import { getTable } from "./nftables.ts";
import { addRoute } from "./route.ts";

/** Written as groups so that a reader can hold them against the kernel's structs. */
function hex(...groups: readonly string[]): string {
  return groups.join("").replaceAll(" ", "");
}

const requests: readonly (readonly [string, NetlinkMessage, number, number, string])[] = [
  [
    "a bridge that is up",
    addBridge({ name: "cni0", mac: "02:00:00:00:00:01", mtu: 1400, flags: 1 }),
    16,
    0x605,
    hex(
      // struct ifinfomsg: family, type, index, flags, change
      "00 00 0000 00000000 01000000 01000000",
      "0900 0300 636e693000 000000", // IFLA_IFNAME "cni0"
      "0a00 0100 020000000001 0000", // IFLA_ADDRESS
      "0800 0400 78050000", // IFLA_MTU
      "1000 1280 0b00 0100 62726964676500 00", // IFLA_LINKINFO { IFLA_INFO_KIND "bridge" }
    ),
  ],
  [
    "a veth pair, its peer in another namespace",
    addVeth({ name: "v0", master: 7, flags: 1 }, { name: "eth0", netnsFd: 33 }),
    16,
    0x605,
    hex(
      "00 00 0000 00000000 01000000 01000000",
      "0700 0300 763000 00", // IFLA_IFNAME "v0"
      "0800 0a00 07000000", // IFLA_MASTER
      "3c00 1280", // IFLA_LINKINFO {
      "0900 0100 7665746800 000000", // IFLA_INFO_KIND "veth"
      "2c00 0280", // IFLA_INFO_DATA {
      "2800 0100", // VETH_INFO_PEER: ifinfomsg and attributes
      "00 00 0000 00000000 00000000 00000000",
      "0900 0300 6574683000 000000", // IFLA_IFNAME "eth0"
      "0800 1c00 21000000", // IFLA_NET_NS_FD
    ),
  ],
  [
    "a link taken off its bridge and down",
    setLink(5, { master: 0, flags: 0, flagsMask: 1 }),
    19,
    0x5,
    hex("00 00 0000 05000000 00000000 01000000", "0800 0a00 00000000"),
  ],
  [
    "a bridge port's flags",
    setBridgePort(5, { hairpin: true, isolated: false }),
    19,
    0x5,
    hex(
      "07 00 0000 05000000 00000000 00000000", // AF_BRIDGE
      "1400 0c80 0500 0400 01000000 0500 2100 00000000", // IFLA_PROTINFO { MODE 1, ISOLATED 0 }
    ),
  ],
  [
    "a link by name",
    getLink("lo"),
    18,
    0x5,
    hex("00 00 0000 00000000 00000000 00000000", "0700 0300 6c6f00 00", "0800 1d00 08000000"),
  ],
  [
    "a link's alias, by its name",
    setLinkAlias("v0", "a pod"),
    19,
    0x5,
    hex("00 00 0000 00000000 00000000 00000000", "0700 0300 763000 00", "0a00 1400 6120706f6400 0000"),
  ],
  [
    "the links of a kind",
    listLinks("ifb"),
    18,
    0x301,
    hex("00 00 0000 00000000 00000000 00000000", "0800 1d00 08000000", "0c00 1280 0800 0100 69666200"),
  ],
  [
    "a link deleted by its name",
    deleteLinkByName("v0"),
    17,
    0x5,
    hex("00 00 0000 00000000 00000000 00000000", "0700 0300 763000 00"),
  ],
  [
    "a link put into a group",
    setLinkGroup("v0", 0x6265_7274),
    19,
    0x5,
    hex("00 00 0000 00000000 00000000 00000000", "0700 0300 763000 00", "0800 1b00 74726562"),
  ],
  [
    "the links of a group deleted",
    deleteLinkGroup(0x6265_7274),
    17,
    0x5,
    hex("00 00 0000 00000000 00000000 00000000", "0800 1b00 74726562"),
  ],
  ["a link deleted", deleteLink(9), 17, 0x5, hex("00 00 0000 09000000 00000000 00000000")],
  [
    "an IPv4 address",
    addAddress(3, parsePrefix("10.88.0.5/16"), 0),
    20,
    0x605,
    hex(
      "02 10 00 00 03000000", // struct ifaddrmsg: family, prefix, flags, scope, index
      "0800 0200 0a580005", // IFA_LOCAL
      "0800 0100 0a580005", // IFA_ADDRESS
      "0800 0400 0a58ffff", // IFA_BROADCAST
      "0800 0800 00000000", // IFA_FLAGS
    ),
  ],
  [
    "an IPv6 address without duplicate address detection",
    addAddress(3, parsePrefix("fd00::5/64"), 2),
    20,
    0x605,
    hex(
      "0a 40 00 00 03000000",
      "1400 0200 fd000000000000000000000000000005",
      "1400 0100 fd000000000000000000000000000005",
      "0800 0800 02000000",
    ),
  ],
  ["the addresses of a link", listAddresses(3), 22, 0x301, hex("00 00 00 00 03000000")],
  [
    "a default route",
    addRoute(2, { destination: parsePrefix("0.0.0.0/0"), gateway: parseIp("10.88.0.1") }),
    24,
    0x605,
    hex(
      // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
      "02 00 00 00 fe 03 00 01 00000000",
      "0800 0f00 fe000000", // RTA_TABLE main
      "0800 0400 02000000", // RTA_OIF
      "0800 0500 0a580001", // RTA_GATEWAY
    ),
  ],
  [
    "an IPv6 route with every field of CNI 1.1",
    addRoute(2, {
      destination: parsePrefix("fd01::/16"),
      gateway: parseIp("fd00::1"),
      mtu: 1400,
      advertisedMss: 1300,
      priority: 50,
      table: 1000,
      scope: 0,
    }),
    24,
    0x605,
    hex(
      "0a 10 00 00 00 03 00 01 00000000",
      "0800 0f00 e8030000",
      "0800 0400 02000000",
      "1400 0100 fd010000000000000000000000000000", // RTA_DST
      "1400 0500 fd000000000000000000000000000001",
      "0800 0600 32000000", // RTA_PRIORITY
      "1400 0880 0800 0200 78050000 0800 0800 14050000", // RTA_METRICS { MTU, ADVMSS }
    ),
  ],
  [
    "a route on the link",
    addRoute(2, { destination: parsePrefix("10.9.0.0/24") }),
    24,
    0x605,
    hex("02 18 00 00 fe 03 fd 01 00000000", "0800 0f00 fe000000", "0800 0400 02000000", "0800 0100 0a090000"),
  ],
  ["an nftables table", getTable("inet", "t"), 0x0a01, 0x5, hex("01 00 0000", "0600 0100 7400 0000")],
];

for (const [name, message, type, flags, payload] of requests) {
  test(`netlink: ${name}`, () => {
    assert.equal(message.type, type);
    assert.equal(message.flags, flags);
    assert.equal(message.payload.toString("hex"), payload);
  });
}

test("netlink: messages are framed, padded and taken apart again", () => {
  const bytes = Buffer.concat([
    encodeMessage({ type: 16, flags: 5, payload: Buffer.from("abcde") }, 7),
    encodeMessage({ type: 17, flags: 1, payload: Buffer.alloc(0) }, 8),
  ]);
  assert.equal(
    bytes.toString("hex"),
    hex("15000000 1000 0500 07000000 00000000 6162636465 000000", "10000000 1100 0100 08000000 00000000"),
  );
  assert.deepEqual(decodeMessages(bytes), [
    { type: 16, flags: 5, sequence: 7, payload: Buffer.from("abcde") },
    { type: 17, flags: 1, sequence: 8, payload: Buffer.alloc(0) },
  ]);
});

test("netlink: a length that lies is refused", () => {
  for (const length of [8, 64]) {
    const bytes = Buffer.alloc(32);
    bytes.writeUInt32LE(length, 0);
    assert.throws(
      () => decodeMessages(bytes),
      (error) => hasCode(error, "internal"),
    );
  }
  // An attribute longer than what is left ends the list.
  assert.deepEqual([...decodeAttributes(Buffer.from("0c000100aabb", "hex"))], []);
});

test("netlink: acknowledgements, plain and extended", () => {
  const plain = Buffer.from(hex("00000000", "00".repeat(16)), "hex");
  assert.deepEqual(decodeAcknowledgement({ type: 2, flags: 0x100, sequence: 1, payload: plain }), {
    errno: 0,
    text: "",
  });
  const text = "0700 0100 6e6f00 00"; // NLMSGERR_ATTR_MSG "no"
  const capped = Buffer.from(hex("eaffffff", "20000000", "00".repeat(12), text), "hex");
  assert.deepEqual(decodeAcknowledgement({ type: 2, flags: 0x300, sequence: 1, payload: capped }), {
    errno: 22,
    text: "no",
  });
  const whole = Buffer.from(hex("eaffffff", "14000000", "00".repeat(12), "aabbccdd", text), "hex");
  assert.deepEqual(decodeAcknowledgement({ type: 2, flags: 0x200, sequence: 1, payload: whole }), {
    errno: 22,
    text: "no",
  });
});

test("netlink: links and addresses as the kernel sends them", () => {
  const link = Buffer.from(
    hex(
      "00 00 0100 05000000 43100000 00000000",
      "0700 0300 763000 00",
      "0a00 0100 0a580a580002 0000",
      "0800 0400 dc050000",
      "0800 0500 02000000",
      "0800 0a00 07000000",
      "0800 0d00 e8030000",
      "0a00 1400 6120706f6400 0000",
      "1000 1200 0900 0100 7665746800 000000",
    ),
    "hex",
  );
  assert.deepEqual(decodeLink(link), {
    index: 5,
    name: "v0",
    mac: "0a:58:0a:58:00:02",
    mtu: 1500,
    flags: 0x1043,
    queueLength: 1000,
    master: 7,
    peer: 2,
    kind: "veth",
    alias: "a pod",
  });
  const address = Buffer.from(
    hex("02 10 80 00 03000000", "0800 0100 0a580005", "0800 0200 0a580005", "0800 0800 80000000"),
    "hex",
  );
  assert.deepEqual(decodeAddress(address), {
    index: 3,
    prefix: parsePrefix("10.88.0.5/16"),
    scope: 0,
    flags: 0x80,
  });
  assert.equal(attributeText(undefined), "");
});
