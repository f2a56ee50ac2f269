import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceOf, folderOf, isPureV2, parseHierarchies } from "./hierarchies.ts";

const hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:32 / /other\\040place rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
`;

test("hierarchies: v1 with v2 beside it", () => {
  const found = parseHierarchies(hybrid);
  assert.equal(isPureV2(found), false);
  const table = [
    ["cpu", "/sys/fs/cgroup/cpu,cpuacct/pod/c"],
    ["cpuacct", "/sys/fs/cgroup/cpu,cpuacct/pod/c"],
    ["memory", "/sys/fs/cgroup/memory/pod/c"],
    ["unified", "/sys/fs/cgroup/unified/pod/c"],
    ["hugetlb", undefined],
  ] as const;
  for (const [controller, folder] of table) assert.equal(folderOf(found, controller, "/pod/c"), folder);
});

test("hierarchies: v2 alone, and none at all", () => {
  const found = parseHierarchies("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  assert.equal(isPureV2(found), true);
  assert.equal(folderOf(found, "unified", "/a"), "/sys/fs/cgroup/a");
  assert.equal(folderOf(found, "memory", "/a"), undefined);
  assert.equal(isPureV2(parseHierarchies("")), false);
});

test("hierarchies: the device below a folder", () => {
  const mounts = `20 1 8:1 / / rw - ext4 /dev/sda1 rw
21 20 8:2 / /var rw - ext4 /dev/sda2 rw
22 21 8:3 / /var/lib/berth rw - xfs /dev/mapper/a\\040b rw
`;
  const table = [
    ["/home", "/dev/sda1"],
    ["/var", "/dev/sda2"],
    ["/variety", "/dev/sda1"],
    ["/var/lib/berth/root", "/dev/mapper/a b"],
  ] as const;
  for (const [path, device] of table) assert.equal(deviceOf(mounts, path), device, path);
});
