import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bucketOf, ifbName, readBandwidthConf } from "../bandwidth/conf.ts";
import { readFirewallConf } from "../firewall/conf.ts";
import { readMacvlanConf } from "../macvlan/conf.ts";
import type { PluginConf } from "../conf.ts";
import { requireAllowed } from "../tuning/allow-list.ts";
import { readTuningConf, sysctlFile } from "../tuning/conf.ts";

/** A configuration as a call carries it. */
function call(conf: object, args = ""): { conf: PluginConf; args: string } {
  return { conf: { type: "x", name: "n", ...conf }, args };
}

test("tuning conf: the caller's wishes go before the configuration's", () => {
  const conf = { mac: "0a:00:00:00:00:01", mtu: 1400, promisc: true, sysctl: { "net.a": "1", "net.b": "1" } };
  const cni = {
    mac: "0A:00:00:00:00:03",
    promisc: false,
    allmulti: false,
    txQLen: 5,
    sysctl: { "net.b": "2" },
  };
  const { link, sysctls } = readTuningConf(call({ ...conf, args: { cni } }, "MAC=0a:00:00:00:00:02"));
  assert.deepEqual(link, { mac: "0a:00:00:00:00:03", mtu: 1400, allmulti: false, txQLen: 5 });
  assert.deepEqual(sysctls, [
    ["net.a", "1"],
    ["net.b", "2"],
  ]);
  assert.equal(readTuningConf(call(conf, "MAC=0a:00:00:00:00:02")).link.mac, "0a:00:00:00:00:02");
  assert.deepEqual(readTuningConf(call({})).link, {});
});

test("tuning conf: what is refused", () => {
  for (const [conf, problem] of [
    [{ mac: "x" }, /not a hardware address: "x"/],
    [{ sysctl: { "net.a": 1 } }, /sysctl net\.a: expected a string/],
    [{ mtu: "1400" }, /mtu: expected a whole number/],
    [{ allmulti: "yes" }, /allmulti: expected true or false/],
  ] as const) {
    assert.throws(() => readTuningConf(call(conf)), problem);
  }
});

test("tuning conf: parameters of the network alone", () => {
  for (const [key, file] of [
    ["net.core.somaxconn", "core/somaxconn"],
    ["net/ipv4/ip_forward", "ipv4/ip_forward"],
    ["net.ipv4.conf.IFNAME.arp_filter", "ipv4/conf/eth0/arp_filter"],
  ] as const) {
    assert.equal(sysctlFile(key, "eth0"), file);
  }
  for (const key of [
    "kernel.core_pattern",
    "net",
    "net/../kernel/core_pattern",
    "net..x",
    "/net/x",
    "net/.",
    "",
  ]) {
    assert.throws(() => sysctlFile(key, "eth0"), /not a kernel parameter of the network/, key);
  }
});

test("tuning: the administrator's list", async () => {
  const folder = await mkdtemp(join(tmpdir(), "berth-allow-"));
  const file = join(folder, "allowlist.conf");
  await requireAllowed(["net.core.somaxconn"], file);
  await writeFile(file, "^net\\.core\\.\n\n  ^net\\.ipv4\\.ip_forward$\n");
  await requireAllowed(["net.core.somaxconn", "net.ipv4.ip_forward"], file);
  await assert.rejects(requireAllowed(["net.ipv4.tcp_rmem"], file), /net\.ipv4\.tcp_rmem fits no line of/);
  await writeFile(file, "(");
  await assert.rejects(requireAllowed(["net.core.somaxconn"], file), /not a regular expression: \(/);
  await rm(folder, { recursive: true });
});

test("bandwidth conf: the configuration goes before the capability", () => {
  const bandwidth = { ingressRate: 8000, ingressBurst: 800 };
  assert.deepEqual(
    readBandwidthConf({ name: "n", runtimeConfig: { bandwidth } }).ingress,
    bucketOf(8000, 800),
  );
  const both = readBandwidthConf({
    name: "n",
    egressRate: 16_000,
    egressBurst: 800,
    runtimeConfig: { bandwidth },
  });
  assert.deepEqual([both.ingress, both.egress], [undefined, bucketOf(16_000, 800)]);
  assert.deepEqual(readBandwidthConf({ name: "n" }), { network: "n", ingress: undefined, egress: undefined });
});

test("bandwidth conf: figures of the bucket", () => {
  // 1 MB/s, 100 kB at once: 0.1 s in ticks of 64 ns, and 25 ms more that may wait.
  assert.deepEqual(bucketOf(8_000_000, 800_000), { rate: 1_000_000n, buffer: 1_562_500, limit: 125_000 });
  // What kubelet's annotations come with: more than the kernel's field holds.
  assert.equal(bucketOf(1_000_000, 2 ** 31 - 1).buffer, 0xffff_ffff);
  assert.match(ifbName("n", "c"), /^bwp[0-9a-f]{12}$/);
});

test("bandwidth conf: what is refused", () => {
  for (const [conf, problem] of [
    [{ ingressRate: 8000 }, /ingressRate and ingressBurst go together/],
    [{ egressBurst: 8000 }, /egressRate and egressBurst go together/],
    [{ ingressRate: 8, ingressBurst: 2 ** 36 }, /more than 4 GiB/],
    [{ ingressRate: 7, ingressBurst: 800 }, /must be a byte/],
    [{ ingressRate: -1, ingressBurst: 8 }, /ingressRate: expected a whole number/],
  ] as const) {
    assert.throws(() => readBandwidthConf({ name: "n", ...conf }), problem);
  }
});

test("macvlan conf: modes and hardware addresses", () => {
  assert.equal(readMacvlanConf(call({})).mode, "bridge");
  const args = "MAC=0A:00:00:00:00:02";
  assert.equal(readMacvlanConf(call({ mac: "0a:00:00:00:00:01" }, args)).mac, "0a:00:00:00:00:02");
  assert.throws(
    () => readMacvlanConf(call({ mode: "toString" })),
    /mode "toString" is none of private, vepa/,
  );
  assert.throws(() => readMacvlanConf(call({ mac: "0a:00" })), /not a hardware address/);
});

test("firewall conf: what is left out, and what is refused", () => {
  assert.deepEqual(readFirewallConf({ name: "n" }), {
    network: "n",
    backend: undefined,
    adminChain: "CNI-ADMIN",
    zone: "trusted",
    ingressPolicy: "open",
  });
  for (const [conf, problem] of [
    [{ backend: "ufw" }, /backend "ufw" is none of iptables, nftables, firewalld/],
    [{ ingressPolicy: "closed" }, /ingressPolicy "closed" is none of/],
    [{ iptablesAdminChainName: "a b" }, /not a chain's name: "a b"/],
    [{ firewalldZone: "--help" }, /not a zone's name/],
  ] as const) {
    assert.throws(() => readFirewallConf({ name: "n", ...conf }), problem);
  }
});
