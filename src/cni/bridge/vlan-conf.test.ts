import assert from "node:assert/strict";
import { test } from "node:test";
import { readPortVlans } from "./vlan-conf.ts";

test("vlan conf: what a port's VLANs are", () => {
  for (const [conf, expected] of [
    [{}, undefined],
    [{ vlan: 0, vlanTrunk: [] }, undefined],
    [{ vlan: 5 }, { untagged: 5, gateway: "vlan", trunk: [], defaultVlan: "remove" }],
    [
      { vlan: 4094, preserveDefaultVlan: true },
      { untagged: 4094, gateway: "vlan", trunk: [], defaultVlan: "keep" },
    ],
    [
      { vlanTrunk: [{ id: 9 }, { minID: 2, maxID: 4 }, { id: 5, minID: 4, maxID: 4 }, { id: 1 }] },
      {
        untagged: 1,
        gateway: "bridge",
        trunk: [
          { first: 2, last: 5 },
          { first: 9, last: 9 },
        ],
        defaultVlan: "remove",
      },
    ],
  ] as const) {
    assert.deepEqual(readPortVlans(conf, "net"), expected);
  }
});

test("vlan conf: what is refused", () => {
  for (const [conf, expected] of [
    [{ vlan: 4095 }, /vlan: expected 0 to 4094, not 4095/],
    [{ vlan: "5" }, /vlan: expected a whole number/],
    [{ vlanTrunk: 5 }, /vlanTrunk: expected a list/],
    [{ vlanTrunk: [{ id: 0 }] }, /vlanTrunk: id: expected 1 to 4094, not 0/],
    [{ vlanTrunk: [{ minID: 5 }] }, /minID and maxID go together/],
    [{ vlanTrunk: [{ minID: 5, maxID: 4 }] }, /minID 5 is more than maxID 4/],
  ] as const) {
    assert.throws(() => readPortVlans(conf, "net"), expected);
  }
});
