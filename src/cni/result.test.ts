import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { readResult, writeResult } from "./result.ts";

const current = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", mac: "0a:58:0a:58:00:02", mtu: 1500, sandbox: "/run/netns/x" }],
  ips: [
    { address: "10.88.0.2/16", gateway: "10.88.0.1", interface: 0 },
    { address: "fd00::2/64", interface: 0 },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "10.88.0.1", mtu: 1400 }],
  dns: { nameservers: ["10.88.0.1"] },
};

test("result: what is read in the newest version is written as it was", () => {
  assert.deepEqual(writeResult(readResult(current, "test"), "1.1.0"), current);
});

test("result: older versions lack fields, and the oldest name each address's family", () => {
  const result = readResult(current, "test");
  assert.deepEqual(writeResult(result, "1.0.0"), {
    ...current,
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", mac: "0a:58:0a:58:00:02", sandbox: "/run/netns/x" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.88.0.1" }],
  });
  const old = writeResult(result, "0.3.1");
  assert.deepEqual(old["ips"], [
    { version: "4", ...current.ips[0] },
    { version: "6", ...current.ips[1] },
  ]);
  assert.deepEqual(readResult(old, "test").ips, current.ips);
});

test("result: rubbish is refused by field", () => {
  for (const [object, expected] of [
    [{ ips: "none" }, "ips: expected a list"],
    [{ ips: [{ address: "10.0.0.1" }] }, "prefix length"],
    [{ ips: [{ address: "10.0.0.1/8", interface: -1 }] }, "interface: expected a whole number"],
    [{ routes: [{ dst: "everywhere" }] }, "everywhere"],
    [{ interfaces: [1] }, "interfaces[0]: expected an object"],
    [{ dns: { nameservers: [1] } }, "nameservers: expected a list of strings"],
  ] as const) {
    assert.throws(
      () => readResult(object, "test"),
      (error) => hasCode(error, "invalid-argument") && error.message.includes(expected),
      expected,
    );
  }
});
