import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeConnection, deleteConnection, listConnections } from "./conntrack.ts";
import type { NetlinkMessage } from "./message.ts";
import {
  addElements,
  batchBegin,
  batchEnd,
  decodeElements,
  decodeGeneration,
  deleteElements,
  deleteTable,
  getChain,
  getGeneration,
  listElements,
} from "./nftables.ts";

/** Written as groups so that a reader can hold them against the kernel's structs. */
function hex(...groups: readonly string[]): string {
  return groups.join("").replaceAll(" ", "");
}

const name = { table: "t", set: "m" };
const element = {
  key: Buffer.from("0600000000500000", "hex"),
  data: Buffer.from("0102030400500000", "hex"),
  comment: "c",
};
const names = hex("0600 0100 7400 0000", "0600 0200 6d00 0000");
const key = "1000 0180 0c00 0100 0600000000500000";

const messages: readonly (readonly [string, NetlinkMessage, number, number, string])[] = [
  ["a batch's begin", batchBegin(), 0x10, 0x1, "0000000a"],
  ["one that names a generation", batchBegin(7), 0x10, 0x1, hex("0000000a", "0800 0100 00000007")],
  ["a batch's end", batchEnd(), 0x11, 0x1, "0000000a"],
  ["a table deleted", deleteTable("inet", "t"), 0x0a02, 0x5, hex("01000000", "0600 0100 7400 0000")],
  [
    "a chain of iptables",
    getChain("ip6", "nat", "X"),
    0x0a04,
    0x5,
    hex("0a000000", "0800 0100 6e617400", "0600 0300 5800 0000"),
  ],
  [
    "an element of a map with a comment",
    addElements(name, [element]),
    0x0a0c,
    0x605,
    hex(
      "01000000",
      names,
      "3000 0380", // NFTA_SET_ELEM_LIST_ELEMENTS {
      "2c00 0180", // NFTA_LIST_ELEM {
      key, // NFTA_SET_ELEM_KEY { NFTA_DATA_VALUE }
      "1000 0280 0c00 0100 0102030400500000", // NFTA_SET_ELEM_DATA { NFTA_DATA_VALUE }
      "0800 0600 00 02 63 00", // NFTA_SET_ELEM_USERDATA { comment "c" }
    ),
  ],
  [
    "an element deleted: by its key alone",
    deleteElements(name, [element]),
    0x0a0e,
    0x5,
    hex("01000000", names, "1800 0380 1400 0180", key),
  ],
  ["all elements", listElements(name), 0x0a0d, 0x301, hex("01000000", names)],
  ["the generation", getGeneration(), 0x0a10, 0x5, "00000000"],
  ["all tracked connections", listConnections(6), 0x0101, 0x301, "0a000000"],
];

for (const [what, message, type, flags, payload] of messages) {
  test(`nftables codec: ${what}`, () => {
    assert.equal(message.type, type);
    assert.equal(message.flags, flags);
    assert.equal(message.payload.toString("hex"), payload);
  });
}

test("nftables codec: elements come back as they were written", () => {
  const { payload } = addElements(name, [element, { key: Buffer.from("7f000001", "hex"), comment: "" }]);
  assert.deepEqual(decodeElements(payload), [element, { key: Buffer.from("7f000001", "hex"), comment: "" }]);
  assert.deepEqual(decodeElements(listElements(name).payload), []);
});

test("nftables codec: a comment behind other user data is found, damaged data is none", () => {
  const withUserData = (userData: string): string | undefined => {
    const attribute = Buffer.from(userData, "hex");
    const length = (size: number): string => Buffer.of(size, 0).toString("hex");
    const one = hex(length(4 + attribute.length), "0600", userData, "00".repeat(-attribute.length & 3));
    const list = hex(length(4 + one.length / 2), "0180", one);
    const payload = hex("01000000", length(4 + list.length / 2), "0380", list);
    return decodeElements(Buffer.from(payload, "hex"))[0]?.comment;
  };
  assert.equal(withUserData("01020000 0002 6300".replaceAll(" ", "")), "c");
  assert.equal(withUserData("01"), "");
  assert.equal(withUserData("0109"), "");
});

test("nftables codec: the generation is in network order", () => {
  assert.equal(decodeGeneration(Buffer.from("000000000800010000000102", "hex")), 258);
  assert.equal(decodeGeneration(Buffer.from("00000000", "hex")), 0);
});

test("conntrack codec: a connection is deleted by its tuple and id", () => {
  const tuple = hex(
    "1400 0180 0800 0100 c0000201 0800 0200 c0000202", // CTA_TUPLE_IP { source, destination }
    "1c00 0280 0500 0100 11000000 0600 0200 d4310000 0600 0300 1f750000", // CTA_TUPLE_PROTO { 17, ports }
  );
  const payload = Buffer.from(hex("02000000", "3400 0180", tuple, "0800 0c00 0a0b0c0d"), "hex");
  const connection = decodeConnection(payload);
  assert.equal(connection?.protocol, 17);
  assert.equal(connection.destinationPort, 8053);
  const deleted = deleteConnection(4, connection);
  assert.equal(deleted.type, 0x0102);
  assert.equal(deleted.payload.toString("hex"), payload.toString("hex"));
});

test("conntrack codec: what has no ports is passed over", () => {
  assert.equal(decodeConnection(Buffer.from("02000000", "hex")), undefined);
  const icmp = hex("02000000", "1000 0180", "0c00 0280 0500 0100 01000000");
  assert.equal(decodeConnection(Buffer.from(icmp, "hex")), undefined);
});
