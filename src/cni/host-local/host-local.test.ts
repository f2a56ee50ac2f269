import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode, type ErrorCode } from "../../core/errors.ts";
import { flock, LOCK_EX } from "../../sys/index.ts";
import { formatIp, parseIp } from "../ip.ts";
import type { PluginCall } from "../plugin.ts";
import { hostLocalPlugin } from "../plugins/host-local.ts";
import { candidates, readRange } from "./ranges.ts";

async function temporaryFolder(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "berth-ipam-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

function makeCall(dataDir: string, containerId: string, ipam: object, extra: object = {}): PluginCall {
  return {
    containerId,
    netns: "",
    ifname: "eth0",
    args: "",
    conf: {
      type: "bridge",
      name: "pods",
      cniVersion: "1.0.0",
      ipam: { type: "host-local", dataDir, ...ipam },
      ...extra,
    },
    signal: AbortSignal.timeout(10_000),
    note: () => undefined,
    delegate: () => Promise.reject(new Error("no delegate")),
    afterwards: () => undefined,
  };
}

function failure(code: ErrorCode, text: string): (error: unknown) => boolean {
  return (error) => hasCode(error, code) && error.message.includes(text);
}

test("host-local: ranges have the reference plugin's defaults", () => {
  const v4 = readRange({ subnet: "10.1.2.0/24" }, "t");
  assert.deepEqual([v4.start, v4.end, v4.gateway].map(formatIp), ["10.1.2.1", "10.1.2.254", "10.1.2.1"]);
  const v6 = readRange({ subnet: "fd00::/120", rangeStart: "fd00::10" }, "t");
  assert.deepEqual([v6.start, v6.end, v6.gateway].map(formatIp), ["fd00::10", "fd00::ff", "fd00::1"]);
});

test("host-local: ranges that make no sense are refused", () => {
  for (const [range, expected] of [
    [{ subnet: "10.1.2.3/24" }, "host bits"],
    [{ subnet: "10.1.2.0/31" }, "too small"],
    [{ subnet: "10.1.2.0/24", rangeStart: "10.1.3.1" }, "rangeStart 10.1.3.1 is not in 10.1.2.0/24"],
    [{ subnet: "10.1.2.0/24", rangeStart: "10.1.2.9", rangeEnd: "10.1.2.8" }, "is after rangeEnd"],
    [{ subnet: "lan" }, "lan"],
    [{}, "prefix length"],
  ] as const) {
    assert.throws(() => readRange(range, "t"), failure("invalid-argument", expected), expected);
  }
});

test("host-local: addresses are tried round from the last one, without gateways", () => {
  const set = [
    readRange({ subnet: "10.0.0.0/29", rangeEnd: "10.0.0.3" }, "t"),
    readRange({ subnet: "10.0.1.0/29", rangeStart: "10.0.1.5" }, "t"),
  ];
  const tried = (last?: string): string[] =>
    [...candidates(set, last === undefined ? undefined : parseIp(last))].map(({ address }) =>
      formatIp(address),
    );
  const all = ["10.0.0.2", "10.0.0.3", "10.0.1.5", "10.0.1.6"];
  assert.deepEqual(tried(), all);
  assert.deepEqual(tried("10.0.0.3"), ["10.0.1.5", "10.0.1.6", "10.0.0.2", "10.0.0.3"]);
  assert.deepEqual(tried("10.0.1.6"), all);
  assert.deepEqual(tried("10.0.1.5"), ["10.0.1.6", "10.0.0.2", "10.0.0.3", "10.0.1.5"]);
  assert.deepEqual(tried("192.168.0.1"), all);
});

test("host-local: gives one address of each range set, in the reference plugin's files", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = {
    ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd00:1::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }],
  };
  const result = await plugin.add(makeCall(folder.path, "c1", ipam));
  assert.deepEqual(result, {
    interfaces: [],
    ips: [
      { address: "10.1.0.2/24", gateway: "10.1.0.1" },
      { address: "fd00:1::2/64", gateway: "fd00:1::1" },
    ],
    routes: [{ dst: "0.0.0.0/0" }],
    dns: {},
  });
  const network = join(folder.path, "pods");
  assert.deepEqual((await readdir(network)).sort(), [
    "10.1.0.2",
    "fd00:1::2",
    "last_reserved_ip.0",
    "last_reserved_ip.1",
    "lock",
  ]);
  assert.equal(await readFile(join(network, "10.1.0.2"), "utf8"), "c1\r\neth0");
  assert.equal(await readFile(join(network, "last_reserved_ip.1"), "utf8"), "fd00:1::2");
  await plugin.check(makeCall(folder.path, "c1", ipam));
  await plugin.del(makeCall(folder.path, "c1", ipam));
  await plugin.del(makeCall(folder.path, "c1", ipam));
  assert.deepEqual((await readdir(network)).sort(), ["last_reserved_ip.0", "last_reserved_ip.1", "lock"]);
  await assert.rejects(plugin.check(makeCall(folder.path, "c1", ipam)), failure("not-found", "c1"));
  // Not the one that was just given back.
  assert.equal((await plugin.add(makeCall(folder.path, "c2", ipam))).ips[0]?.address, "10.1.0.3/24");
});

test("host-local: a used-up subnet is named, and a half-done ADD leaves nothing", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.2.0.0/30" }]] };
  await plugin.add(makeCall(folder.path, "c1", ipam));
  await assert.rejects(
    plugin.add(makeCall(folder.path, "c2", ipam)),
    failure("resource-exhausted", "network pods: no address is free in 10.2.0.1-10.2.0.2"),
  );
  const names = await readdir(join(folder.path, "pods"));
  assert.deepEqual(names.filter((name) => /^\d/.test(name)).sort(), ["10.1.0.2", "10.2.0.2"]);
});

test("host-local: sees what the reference plugin reserved and released in the same folder", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { subnet: "10.1.0.0/29" };
  await plugin.add(makeCall(folder.path, "c1", ipam));
  const network = join(folder.path, "pods");
  await writeFile(join(network, "10.1.0.3"), "theirs\r\neth0");
  await writeFile(join(network, "10.1.0.4"), "");
  assert.equal((await plugin.add(makeCall(folder.path, "c2", ipam))).ips[0]?.address, "10.1.0.4/29");
  // Handed over behind our back: the owner that was remembered is not the one in the file.
  await writeFile(join(network, "10.1.0.2"), "c3\r\neth0");
  await plugin.del(makeCall(folder.path, "c3", ipam));
  assert.equal((await readdir(network)).includes("10.1.0.2"), false);
});

test("host-local: the same container gets no second address, and keeps its first", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { subnet: "10.1.0.0/24" };
  await plugin.add(makeCall(folder.path, "c1", ipam));
  await assert.rejects(plugin.add(makeCall(folder.path, "c1", ipam)), failure("already-exists", "10.1.0.2"));
  await plugin.check(makeCall(folder.path, "c1", ipam));
});

test("host-local: wanted addresses", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { subnet: "10.1.0.0/24" };
  const wanting = (id: string, ip: string): PluginCall =>
    makeCall(folder.path, id, ipam, { runtimeConfig: { ips: [ip] } });
  assert.equal((await plugin.add(wanting("c1", "10.1.0.77/24"))).ips[0]?.address, "10.1.0.77/24");
  await assert.rejects(plugin.add(wanting("c2", "10.1.0.77")), failure("already-exists", "10.1.0.77"));
  await assert.rejects(plugin.add(wanting("c3", "10.1.0.1")), failure("invalid-argument", "gateway"));
  await assert.rejects(plugin.add(wanting("c4", "10.9.0.1")), failure("invalid-argument", "in no range"));
  const names = await readdir(join(folder.path, "pods"));
  assert.deepEqual(
    names.filter((name) => /^\d/.test(name)),
    ["10.1.0.77"],
  );
});

test("host-local: many at once get different addresses", async () => {
  await using folder = await temporaryFolder();
  const ipam = { subnet: "10.1.0.0/24" };
  // Two plugins with one folder are as two processes: only the file's lock is between them.
  const [even, odd] = [hostLocalPlugin(), hostLocalPlugin()];
  const results = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      (index % 2 === 0 ? even : odd).add(makeCall(folder.path, `c${index}`, ipam)),
    ),
  );
  assert.equal(new Set(results.map((result) => result.ips[0]?.address)).size, 100);
});

test("host-local: a lock that somebody else keeps is named at the deadline", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { subnet: "10.1.0.0/24" };
  await plugin.add(makeCall(folder.path, "c1", ipam));
  const path = join(folder.path, "pods", "lock");
  const fd = openSync(path, "a");
  await flock(fd, LOCK_EX, path, AbortSignal.timeout(1_000));
  const call = { ...makeCall(folder.path, "c2", ipam), signal: AbortSignal.timeout(20) };
  await assert.rejects(plugin.add(call), failure("deadline-exceeded", path));
  closeSync(fd);
  await plugin.add(makeCall(folder.path, "c2", ipam));
});

test("host-local: garbage is what belongs to no valid attachment", async () => {
  await using folder = await temporaryFolder();
  const plugin = hostLocalPlugin();
  const ipam = { subnet: "10.1.0.0/24" };
  for (const id of ["c1", "c2"]) await plugin.add(makeCall(folder.path, id, ipam));
  const notes: string[] = [];
  const call = { ...makeCall(folder.path, "", ipam), note: (text: string) => notes.push(text) };
  await plugin.gc(call, [{ containerID: "c2", ifname: "eth0" }]);
  const names = await readdir(join(folder.path, "pods"));
  assert.deepEqual(
    names.filter((name) => /^\d/.test(name)),
    ["10.1.0.3"],
  );
  assert.deepEqual(notes, ["host-local: released 10.1.0.2 of c1 eth0"]);
});

test("host-local: configurations that make no sense are refused by network", async () => {
  await using folder = await temporaryFolder();
  for (const [ipam, expected] of [
    [{}, "network pods: ipam host-local: no ranges"],
    [{ ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.1.0.0/16" }]] }, "overlap"],
    [{ ranges: [[{ subnet: "10.1.0.0/24" }, { subnet: "fd00::/64" }]] }, "mixes IPv4 and IPv6"],
    [{ ranges: [{ subnet: "10.1.0.0/24" }] }, "ranges[0]: expected a list"],
  ] as const) {
    await assert.rejects(
      hostLocalPlugin().add(makeCall(folder.path, "c1", ipam)),
      failure("invalid-argument", expected),
      expected,
    );
  }
});
