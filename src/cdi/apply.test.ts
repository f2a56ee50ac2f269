import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import type { Spec } from "../core/oci-runtime-spec.ts";
import { editSpec, hostPathsOf, type HostNode } from "./apply.ts";
import type { Edits } from "./edits.ts";

const none: Edits = { env: [], devices: [], mounts: [], hooks: [], additionalGids: [], unsupported: [] };
const spec: Spec = {
  ociVersion: "1.2.0",
  process: {
    cwd: "/",
    args: ["x"],
    env: ["PATH=/bin", "A=1"],
    user: { uid: 7, gid: 8, additionalGids: [8] },
  },
  mounts: [
    { destination: "/proc", type: "proc" },
    { destination: "/usr/lib/x", type: "bind", source: "/x" },
  ],
  linux: { resources: { devices: [{ allow: false, access: "rwm" }] } },
};
const nodes = new Map<string, HostNode>([
  ["/dev/c", { type: "c", major: 10, minor: 3, fileMode: 0o660 }],
  ["/dev/b", { type: "b", major: 8, minor: 0, fileMode: 0o600 }],
  ["/dev/p", { type: "p", major: 0, minor: 0, fileMode: 0o644 }],
]);

function edit(change: Partial<Edits>, before = spec): Spec {
  return editSpec(before, { ...none, ...change }, nodes);
}

test("edits: variables replace those of the same name, groups are added once, hooks follow", () => {
  const hook = { path: "/h", args: ["h"] };
  const before: Spec = { ...spec, hooks: { prestart: [{ path: "/first" }] } };
  const hooks = [
    { when: "prestart", hook },
    { when: "poststop", hook },
  ] as const;
  const { process, hooks: after } = edit({ env: ["A=2", "B=3=4"], additionalGids: [8, 44], hooks }, before);
  assert.deepEqual(process?.env, ["PATH=/bin", "A=2", "B=3=4"]);
  assert.deepEqual(process.user, { uid: 7, gid: 8, additionalGids: [8, 44] });
  assert.deepEqual(after, { prestart: [{ path: "/first" }, hook], poststop: [hook] });
});

const own = { uid: 7, gid: 8 };

test("edits: what is not said of a device is the host node's", () => {
  const devices = [
    { path: "/dev/c", permissions: "rwm" },
    { path: "/dev/other", hostPath: "/dev/b", permissions: "r", fileMode: 0o666, uid: 0, gid: 0 },
    { path: "/dev/p", permissions: "rwm" },
    { path: "/dev/full", type: "c", major: 200, minor: 1, permissions: "" },
    { path: "/dev/u", hostPath: "/dev/c", type: "u", permissions: "w" },
  ] as const;
  assert.deepEqual(hostPathsOf({ ...none, devices }), ["/dev/c", "/dev/b", "/dev/p", "/dev/full", "/dev/c"]);
  const { linux } = edit({ devices });
  assert.deepEqual(linux?.devices, [
    { path: "/dev/c", type: "c", major: 10, minor: 3, fileMode: 0o660, ...own },
    { path: "/dev/other", type: "b", major: 8, minor: 0, fileMode: 0o666, uid: 0, gid: 0 },
    { path: "/dev/p", type: "p", fileMode: 0o644, ...own },
    { path: "/dev/full", type: "c", major: 200, minor: 1, ...own },
    { path: "/dev/u", type: "u", major: 10, minor: 3, fileMode: 0o660, ...own },
  ]);
  assert.deepEqual(linux.resources?.devices?.slice(1), [
    { allow: true, type: "c", major: 10, minor: 3, access: "rwm" },
    { allow: true, type: "b", major: 8, minor: 0, access: "r" },
    { allow: true, type: "c", major: 10, minor: 3, access: "w" },
  ]);
});

test("edits: a device at the same path is replaced", () => {
  const devices = [
    { path: "/dev/c", permissions: "rwm" },
    { path: "/dev/c", hostPath: "/dev/b", permissions: "rwm" },
  ];
  assert.deepEqual(
    edit({ devices }).linux?.devices?.map(({ path, type }) => [path, type]),
    [["/dev/c", "b"]],
  );
});

test("edits: mounts replace those at the same path and come before what lies below them", () => {
  const mounts = [
    { hostPath: "/usr/lib", containerPath: "/usr/lib/", options: ["ro", "bind"], type: "none" },
    { hostPath: "/y", containerPath: "/usr/lib/x", options: [] },
    { hostPath: "t", containerPath: "/t", type: "tmpfs", options: ["size=1m"] },
  ];
  assert.deepEqual(edit({ mounts }).mounts, [
    { destination: "/proc", type: "proc" },
    { destination: "/usr/lib", type: "bind", source: "/usr/lib", options: ["ro", "bind"] },
    { destination: "/usr/lib/x", type: "bind", source: "/y", options: ["rbind"] },
    { destination: "/t", type: "tmpfs", source: "t", options: ["size=1m"] },
  ]);
});

test("edits: in a user namespace what is bound is seen through its mappings", () => {
  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  const mounts = [
    { hostPath: "/a", containerPath: "/a", options: [] },
    { hostPath: "t", containerPath: "/t", type: "tmpfs", options: [] },
  ];
  const before: Spec = { ...spec, linux: { ...spec.linux, uidMappings: map, gidMappings: map } };
  assert.deepEqual(
    edit({ mounts }, before)
      .mounts?.slice(-2)
      .map(({ uidMappings, gidMappings }) => [uidMappings, gidMappings]),
    [
      [map, map],
      [undefined, undefined],
    ],
  );
});

test("edits: in a user namespace a node with another name on the host is bound", () => {
  const map = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  const before: Spec = { ...spec, linux: { uidMappings: map, gidMappings: map } };
  const devices = [
    { path: "/dev/x", hostPath: "/dev/c", permissions: "rw" },
    { path: "/dev/b", permissions: "r" },
  ];
  const { mounts, linux } = edit({ devices }, before);
  const options = ["bind", "rprivate", "nosuid", "noexec"];
  assert.deepEqual(mounts?.at(-1), { destination: "/dev/x", type: "bind", source: "/dev/c", options });
  assert.deepEqual(
    linux?.devices?.map(({ path }) => path),
    ["/dev/b"],
  );
  assert.deepEqual(
    linux.resources?.devices?.map(({ major, access }) => [major, access]),
    [
      [10, "rw"],
      [8, "r"],
    ],
  );
});

for (const [what, change, message] of [
  [
    "a node that is missing",
    { devices: [{ path: "/dev/absent", permissions: "" }] },
    /no device node at \/dev\/absent/,
  ],
  [
    "a type without numbers",
    { devices: [{ path: "/dev/no", type: "c", permissions: "" }] },
    /no device node at \/dev\/no/,
  ],
  [
    "a node of another type",
    { devices: [{ path: "/dev/b", type: "c", permissions: "" }] },
    /\/dev\/b is of type b, not c/,
  ],
  ["what the runtime has not", { unsupported: ["intelRdt"] }, /edits of intelRdt are not supported/],
] as const) {
  test(`edits: ${what} is told by name`, () => {
    assert.throws(
      () => edit(change),
      (error) => hasCode(error, "failed-precondition") && message.test(error.message),
    );
  });
}
