import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import type { NamespaceOptions } from "../core/namespaces.ts";
import type { PodConfig } from "../core/pod.ts";
import { checkSysctls, podSysctls } from "./sysctls.ts";

const own: NamespaceOptions = { network: "pod", pid: "container", ipc: "pod", user: { mode: "node" } };

function config(
  sysctls: Readonly<Record<string, string>>,
  namespaces: Partial<NamespaceOptions> = {},
): PodConfig {
  return { sysctls, security: { namespaces: { ...own, ...namespaces } } } as unknown as PodConfig;
}

test("sysctls: names in either form", () => {
  const table: readonly (readonly [string, string])[] = [
    ["kernel.shm_rmid_forced", "kernel.shm_rmid_forced"],
    ["kernel/msgmax", "kernel.msgmax"],
    ["fs.mqueue.msg_max", "fs.mqueue.msg_max"],
    ["net.ipv4.tcp_syncookies", "net.ipv4.tcp_syncookies"],
    ["net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding"],
    ["net.ipv4.conf.eth0/1.forwarding", "net.ipv4.conf.eth0/1.forwarding"],
  ];
  for (const [name, dotted] of table)
    assert.deepEqual(checkSysctls(config({ [name]: "1 2\t3" })), { [dotted]: "1 2\t3" });
});

test("sysctls: what is not the pod's is refused, with the field", () => {
  const table: readonly (readonly [
    string,
    Readonly<Record<string, string>>,
    Partial<NamespaceOptions>,
    RegExp,
  ])[] = [
    [
      "cve-2022-0811: the host's",
      { "kernel.core_pattern": "|/x" },
      {},
      /linux\.sysctls\["kernel\.core_pattern"\]: not a sysctl of/,
    ],
    ["another of the host's", { "vm.overcommit_memory": "1" }, {}, /not a sysctl/],
    ["a prefix is not enough", { "kernel.shmmaxx": "1" }, {}, /not a sysctl/],
    ["cve-2022-0811: two in one", { "kernel.shm_rmid_forced+kernel.core_pattern": "1" }, {}, /not a sysctl/],
    ["a path", { "net/../kernel/core_pattern": "1" }, {}, /not a sysctl/],
    ["a path in dots", { "net.//kernel/core_pattern": "1" }, {}, /not a sysctl/],
    ["empty part", { "net..x": "1" }, {}, /not a sysctl/],
    ["no separator", { net: "1" }, {}, /not a sysctl/],
    [
      "cve-2022-0532: host network",
      { "net.ipv4.ip_forward": "1" },
      { network: "node" },
      /node's network namespace/,
    ],
    ["cve-2022-0532: host ipc", { "kernel.shmmax": "1" }, { ipc: "node" }, /node's ipc namespace/],
    ["value with a line feed", { "net.ipv4.ip_forward": "1\n2" }, {}, /control character/],
    ["twice", { "net.core.somaxconn": "1", "net/core/somaxconn": "2" }, {}, /given twice/],
  ];
  for (const [name, sysctls, namespaces, message] of table) {
    assert.throws(
      () => checkSysctls(config(sysctls, namespaces)),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
      name,
    );
  }
});

test("sysctls: defaults, which the request overrides", () => {
  const ports = "net.ipv4.ip_unprivileged_port_start";
  const ping = "net.ipv4.ping_group_range";
  const userns: NamespaceOptions["user"] = { mode: "pod", uids: [], gids: [] };
  assert.deepEqual(podSysctls(config({})), { [ports]: "0", [ping]: "0 2147483647" });
  assert.deepEqual(podSysctls(config({ "net/ipv4/ip_unprivileged_port_start": "80" })), {
    [ports]: "80",
    [ping]: "0 2147483647",
  });
  assert.deepEqual(podSysctls(config({}, { user: userns })), { [ports]: "0" });
  assert.deepEqual(podSysctls(config({}, { network: "node" })), {});
});
