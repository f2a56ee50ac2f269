import assert from "node:assert/strict";
import { test } from "node:test";
import { tableName, tableScript } from "./masquerade.ts";

test("masquerade: the table of a network with both families", () => {
  assert.equal(tableName("pods"), "berth_masq_049c287ed3e2");
  const table = "inet berth_masq_049c287ed3e2";
  const lines = [
    `add table ${table}`,
    `add set ${table} spared4 { type ipv4_addr; flags interval; }`,
    `flush set ${table} spared4`,
    `add element ${table} spared4 { 10.3.0.0/24, 10.4.0.0/24 }`,
    `add set ${table} spared6 { type ipv6_addr; flags interval; }`,
    `flush set ${table} spared6`,
    `add set ${table} subnets4 { type ipv4_addr; flags interval; auto-merge; }`,
    `add set ${table} subnets6 { type ipv6_addr; flags interval; auto-merge; }`,
    `add chain ${table} postrouting { type nat hook postrouting priority srcnat; policy accept; }`,
    `flush chain ${table} postrouting`,
    `add rule ${table} postrouting ip saddr @subnets4 ip daddr != @subnets4 ip daddr != @spared4 ip daddr != 224.0.0.0/4 masquerade comment "pods of pods"`,
    `add rule ${table} postrouting ip6 saddr @subnets6 ip6 daddr != @subnets6 ip6 daddr != @spared6 ip6 daddr != ff00::/8 masquerade comment "pods of pods"`,
    `add element ${table} subnets4 { 10.1.0.0/24, 10.2.0.0/24 }`,
    `add element ${table} subnets6 { fd00::/64 }`,
    "",
  ];
  const subnets = ["fd00::/64", "10.2.0.0/24", "10.1.0.0/24"];
  assert.deepEqual(tableScript("pods", subnets, ["10.3.0.0/24", "10.4.0.0/24"]).split("\n"), lines);
  // What others have spared stays.
  assert.doesNotMatch(tableScript("pods", subnets, undefined), /flush set|add element \S+ \S+ spared/);
});

test("masquerade: networks do not share a table, whatever their names hold", () => {
  assert.notEqual(tableName("a.b"), tableName("a-b"));
  assert.match(tableName("a.b-c_d"), /^berth_masq_[0-9a-f]{12}$/);
});
