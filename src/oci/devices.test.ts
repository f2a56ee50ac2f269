import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { allDevices, type DeviceNode, type FoundDevice, requestedDevices } from "./devices.ts";

function node(hostPath: string, minor = 229): DeviceNode {
  return { hostPath, type: "c", major: 10, minor, fileMode: 0o666, uid: 0, gid: 0 };
}

function found(request: Partial<FoundDevice["request"]>, ...nodes: DeviceNode[]): FoundDevice {
  return { request: { containerPath: "", hostPath: "/dev/fuse", permissions: "rw", ...request }, nodes };
}

test("devices: a node where the request says, and a rule for it", () => {
  const table: readonly (readonly [string, FoundDevice, readonly string[]])[] = [
    ["same path", found({}, node("/dev/fuse")), ["/dev/fuse"]],
    ["another path", found({ containerPath: "/dev/x" }, node("/dev/fuse")), ["/dev/x"]],
    [
      "through a symlink",
      found({ hostPath: "/dev/link", containerPath: "/dev/x" }, node("/dev/fuse")),
      ["/dev/x"],
    ],
    [
      "a folder",
      found({ hostPath: "/dev/snd", containerPath: "/dev/sound" }, node("/dev/snd/a"), node("/dev/snd/by/b")),
      ["/dev/sound/a", "/dev/sound/by/b"],
    ],
  ];
  for (const [name, device, paths] of table) {
    const grant = requestedDevices([device]);
    assert.deepEqual(
      grant.devices.map(({ path }) => path),
      paths,
      name,
    );
    assert.deepEqual(grant.rules[0], { allow: false, access: "rwm" });
    assert.deepEqual(grant.rules.at(-1), { allow: true, type: "c", major: 10, minor: 229, access: "rw" });
  }
});

test("devices: what every container may use", () => {
  const allowed = requestedDevices([]).rules.map(
    ({ type = "a", major = "*", minor = "*", access = "" }) => `${type} ${major}:${minor} ${access}`,
  );
  assert.deepEqual(allowed, [
    "a *:* rwm",
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:200 rwm",
  ]);
});

test("devices: a privileged container has the host's, but its own /dev/null and terminals", () => {
  const host = [node("/dev/null"), node("/dev/pts/0"), node("/dev/fuse"), node("/dev/loop0", 1)];
  const grant = allDevices(host, [found({ containerPath: "/dev/loop0" }, node("/dev/fuse"))]);
  assert.deepEqual(
    grant.devices.map(({ path, minor }) => [path, minor]),
    [
      ["/dev/fuse", 229],
      ["/dev/loop0", 229],
    ],
  );
  assert.deepEqual(grant.rules, [{ allow: true, access: "rwm" }]);
});

test("devices: bad permissions and absent nodes are refused by path", () => {
  for (const device of [
    found({ permissions: "rx" }, node("/dev/fuse")),
    found({ permissions: "" }, node("/dev/fuse")),
    found({}),
  ]) {
    assert.throws(
      () => requestedDevices([device]),
      (error) => hasCode(error, "invalid-argument") && error.message.includes("/dev/fuse"),
    );
  }
});
