import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { appeared, readMachine, type Machine } from "./machine.ts";

const nothing: Machine = {
  mounts: [],
  cgroups: [],
  "network namespaces": [],
  links: [],
  "nft tables": [],
  processes: [],
  files: [],
};

test("leaks: what is new is listed by kind, what went away is not", () => {
  const before = { ...nothing, mounts: ["/a", "/b"], links: ["lo", "old"] };
  const now = { ...nothing, mounts: ["/a", "/b", "/b"], links: ["lo", "berth0"] };
  assert.deepEqual(appeared(before, now), ["mounts: /b", "links: berth0"]);
});

test("leaks: the machine shows what every Linux has", () => {
  const machine = readMachine();
  assert.ok(machine.mounts.some((mount) => mount.startsWith("/proc (proc ")));
  assert.ok(machine.links.includes("lo"));
  assert.ok(machine["network namespaces"].length >= 1);
  assert.deepEqual(appeared(machine, machine), []);
});

/** Runs a script under watch in namespaces of its own. */
function watch(script: string): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(
    "unshare",
    [
      ...["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...[process.execPath, join(import.meta.dirname, "watch.ts"), "sh", "-c", script],
    ],
    { encoding: "utf8" },
  );
}

const cgroup = `berth-leak-${process.pid}`;
const cgroupRoot = "$(dirname $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -n 1))";

const leaks = [
  ["mount -t tmpfs left /mnt", /mounts: \/mnt \(tmpfs of left\)/],
  ["ip link add left0 type veth peer name left1", /links: left0\n/],
  ["nft add table inet left", /nft tables: table inet left/],
  ["setsid sleep 1000 &", /processes: \d+ sleep 1000/],
  ["unshare --net sleep 2000 &", /network namespaces: net:\[\d+\]/],
  [`mkdir ${cgroupRoot}/${cgroup}`, new RegExp(`cgroups: .*/${cgroup}`)],
] as const;

test("leaks: whatever stays is found and named", (context) => {
  context.after(() => {
    spawnSync("sh", ["-c", `rmdir ${cgroupRoot}/${cgroup}`]);
  });
  const { status, stderr } = watch(leaks.map(([command]) => command).join("\n"));
  for (const [, expected] of leaks) assert.match(stderr, expected);
  assert.equal(status, 1);
});

test("leaks: a command that cleans up, and one that fails, keep their status", () => {
  assert.deepEqual([watch("mount -t tmpfs x /mnt && umount /mnt").status, watch("exit 7").status], [0, 7]);
});
