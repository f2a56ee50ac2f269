import assert from "node:assert/strict";
import { test } from "node:test";
import { networkUsage, parseNetDev } from "./network.ts";

const netDev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0
  net1: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0
  eth0:18446744073709551615      22    1    2    0     0          0         0     2200      20    3    4    0     0       0          0
`;

test("network: the interfaces but loopback, all 64 bits of their counters", () => {
  const [net1, eth0, ...rest] = parseNetDev(netDev);
  assert.deepEqual(rest, []);
  assert.equal(net1?.name, "net1");
  assert.deepEqual(eth0, {
    name: "eth0",
    rxBytes: 18446744073709551615n,
    rxPackets: 22n,
    rxErrors: 1n,
    rxDropped: 2n,
    txBytes: 2200n,
    txPackets: 20n,
    txErrors: 3n,
    txDropped: 4n,
  });
});

test("network: eth0 is the main interface, else the first; a pod may have none", () => {
  const both = networkUsage(1n, parseNetDev(netDev));
  assert.equal(both.main?.name, "eth0");
  assert.deepEqual(
    both.others.map(({ name }) => name),
    ["net1"],
  );
  assert.equal(networkUsage(1n, both.others).main?.name, "net1");
  assert.deepEqual(networkUsage(1n, parseNetDev("")), { at: 1n, main: undefined, others: [] });
});
