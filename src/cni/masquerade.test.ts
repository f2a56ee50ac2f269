import assert from "node:assert/strict";
import { test } from "node:test";
import { tableName, tableScript } from "./masquerade.ts";

test("masquerade: the table of a network with both families", () => {
  assert.equal(tableName("pods"), "berth_masq_049c287ed3e2");
  assert.equal(
    tableScript("pods", ["fd00::/64", "10.2.0.0/24", "10.1.0.0/24"], ["10.3.0.0/24", "10.4.0.0/24"]),
    `table inet berth_masq_049c287ed3e2
delete table inet berth_masq_049c287ed3e2
table inet berth_masq_049c287ed3e2
add set inet berth_masq_049c287ed3e2 spared4 { type ipv4_addr; flags interval; }
flush set inet berth_masq_049c287ed3e2 spared4
add element inet berth_masq_049c287ed3e2 spared4 { 10.3.0.0/24, 10.4.0.0/24 }
add set inet berth_masq_049c287ed3e2 spared6 { type ipv6_addr; flags interval; }
flush set inet berth_masq_049c287ed3e2 spared6
table inet berth_masq_049c287ed3e2 {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr { 10.1.0.0/24, 10.2.0.0/24 } ip daddr != { 10.1.0.0/24, 10.2.0.0/24 } ip daddr != @spared4 ip daddr != 224.0.0.0/4 masquerade comment "pods of pods"
    ip6 saddr { fd00::/64 } ip6 daddr != { fd00::/64 } ip6 daddr != @spared6 ip6 daddr != ff00::/8 masquerade comment "pods of pods"
  }
}
`,
  );
});

test("masquerade: networks do not share a table, whatever their names hold", () => {
  assert.notEqual(tableName("a.b"), tableName("a-b"));
  assert.match(tableName("a.b-c_d"), /^berth_masq_[0-9a-f]{12}$/);
});
