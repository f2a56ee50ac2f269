import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import {
  contains,
  formatIp,
  formatPrefix,
  ipBytes,
  ipFromBytes,
  lastOf,
  networkOf,
  overlaps,
  parseIp,
  parsePrefix,
} from "./ip.ts";

test("ip: addresses are written in canonical form", () => {
  for (const [text, canonical] of [
    ["10.88.0.1", "10.88.0.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["fd00::1", "fd00::1"],
    ["FD00:0:0:0:0:0:0:1", "fd00::1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"],
    ["2001:0:0:1:0:0:1:1", "2001::1:0:0:1:1"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ] as const) {
    assert.equal(formatIp(parseIp(text)), canonical, text);
    assert.equal(formatIp(ipFromBytes(ipBytes(parseIp(text)))), canonical, text);
  }
});

test("ip: what is no address is refused", () => {
  for (const text of [
    "",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.01",
    "1:2",
    "::1::",
    "12345::",
    "g::",
    "1:2:3:4:5:6:7:8:9",
    "::1%lo",
  ]) {
    assert.throws(
      () => parseIp(text),
      (error) => hasCode(error, "invalid-argument"),
      text,
    );
  }
  for (const text of ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "/8", "10.0.0.0/8/8"]) {
    assert.throws(
      () => parsePrefix(text),
      (error) => hasCode(error, "invalid-argument"),
      text,
    );
  }
});

test("ip: networks", () => {
  for (const [prefix, network, last] of [
    ["10.88.3.7/16", "10.88.0.0/16", "10.88.255.255"],
    ["10.0.0.1/32", "10.0.0.1/32", "10.0.0.1"],
    ["10.0.0.1/0", "0.0.0.0/0", "255.255.255.255"],
    ["fd00:1::5/64", "fd00:1::/64", "fd00:1::ffff:ffff:ffff:ffff"],
  ] as const) {
    assert.equal(formatPrefix(networkOf(parsePrefix(prefix))), network);
    assert.equal(formatIp(lastOf(parsePrefix(prefix))), last);
  }
  assert.equal(contains(parsePrefix("10.88.0.0/16"), parseIp("10.88.9.9")), true);
  assert.equal(contains(parsePrefix("10.88.0.0/16"), parseIp("10.89.0.0")), false);
  assert.equal(contains(parsePrefix("::/0"), parseIp("10.89.0.0")), false);
  assert.equal(overlaps(parsePrefix("10.0.0.0/8"), parsePrefix("10.88.0.0/16")), true);
  assert.equal(overlaps(parsePrefix("10.88.0.0/16"), parsePrefix("10.0.0.0/8")), true);
  assert.equal(overlaps(parsePrefix("10.88.0.0/16"), parsePrefix("10.89.0.0/16")), false);
});
