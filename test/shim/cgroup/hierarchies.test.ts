import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  hierarchyOf,
  isPureV2,
  parseHierarchies,
  unifiedOf,
} from "../../../src/shim/program/cgroup/hierarchies.ts";

const other = [
  "22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw",
  "28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw",
];
const v1 = [
  "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755",
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct",
  "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,seclabel,memory,clone_children",
  "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/lib/x,name=systemd",
  "99 31 0:32 / /mnt/second rw,relatime - cgroup cgroup rw,memory",
];
const v2 = ["41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate"];

await suite("cgroup hierarchies", () => {
  test("hierarchies: hybrid, each once, v2 last", () => {
    const found = parseHierarchies([...other, ...v2, ...v1].join("\n"));
    assert.deepEqual(found, [
      { version: 1, mountPoint: "/sys/fs/cgroup/cpu,cpuacct", controllers: ["cpu", "cpuacct"] },
      { version: 1, mountPoint: "/sys/fs/cgroup/memory", controllers: ["memory"] },
      { version: 1, mountPoint: "/sys/fs/cgroup/systemd", controllers: ["name=systemd"] },
      { version: 2, mountPoint: "/sys/fs/cgroup/unified", controllers: [] },
    ]);
    assert.equal(hierarchyOf(found, "cpuacct")?.mountPoint, "/sys/fs/cgroup/cpu,cpuacct");
    assert.equal(hierarchyOf(found, "pids"), undefined);
    assert.equal(unifiedOf(found)?.mountPoint, "/sys/fs/cgroup/unified");
    assert.equal(isPureV2(found), false);
  });

  test("hierarchies: v2 alone", () => {
    const found = parseHierarchies(
      ["30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw", ""].join("\n"),
    );
    assert.equal(isPureV2(found), true);
  });

  test("hierarchies: none, and a mount point with a space", () => {
    assert.deepEqual(parseHierarchies(other.join("\n")), []);
    const [found] = parseHierarchies("30 23 0:26 / /my\\040cgroups rw - cgroup2 cgroup2 rw");
    assert.equal(found?.mountPoint, "/my cgroups");
  });
});
