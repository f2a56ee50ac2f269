import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../core/errors.ts";
import { parseSpecFile } from "./spec-file.ts";

/** In the form that device vendors' tools write: names that look like numbers, octal modes, nothing as `null`. */
const yaml = `---
cdiVersion: 0.7.0
kind: vendor.com/gpu
containerEdits:
  deviceNodes:
    - path: /dev/vendorctl
      hostPath: /dev/host-vendorctl
      fileMode: 0660
  env:
    - VISIBLE=void
  hooks:
    - hookName: createContainer
      path: /usr/bin/vendor-hook
      args: [vendor-hook, update-ldcache, --folder, /usr/lib64]
      timeout: 10
  mounts:
    - hostPath: /usr/lib/libvendor.so.1
      containerPath: /usr/lib/libvendor.so.1
      options: [ro, nosuid, nodev, rbind, rprivate]
  additionalGids: [0, 44]
devices:
  - name: 0
    containerEdits:
      deviceNodes: [{ path: /dev/vendor0, type: c, major: 195, permissions: none, uid: 0x10 }]
      mounts: null
  - name: "all"
    annotations: { note: of all }
    containerEdits:
      env: ["A=b=c"]
`;

test("spec files: yaml", () => {
  assert.deepEqual(parseSpecFile(yaml, "yaml"), {
    version: "0.7.0",
    kind: "vendor.com/gpu",
    edits: {
      env: ["VISIBLE=void"],
      devices: [
        { path: "/dev/vendorctl", hostPath: "/dev/host-vendorctl", fileMode: 0o660, permissions: "rwm" },
      ],
      mounts: [
        {
          hostPath: "/usr/lib/libvendor.so.1",
          containerPath: "/usr/lib/libvendor.so.1",
          options: ["ro", "nosuid", "nodev", "rbind", "rprivate"],
        },
      ],
      hooks: [
        {
          when: "createContainer",
          hook: {
            path: "/usr/bin/vendor-hook",
            args: ["vendor-hook", "update-ldcache", "--folder", "/usr/lib64"],
            env: [],
            timeout: 10,
          },
        },
      ],
      additionalGids: [44],
      unsupported: [],
    },
    devices: [
      {
        name: "0",
        edits: {
          env: [],
          devices: [{ path: "/dev/vendor0", type: "c", major: 195, permissions: "", uid: 16 }],
          mounts: [],
          hooks: [],
          additionalGids: [],
          unsupported: [],
        },
      },
      {
        name: "all",
        edits: { env: ["A=b=c"], devices: [], mounts: [], hooks: [], additionalGids: [], unsupported: [] },
      },
    ],
  });
});

type Change = Readonly<Record<string, unknown>>;

const device = { name: "d", containerEdits: { env: ["A=b"] } };

function file(change: Change, edits?: Change): string {
  const devices = edits === undefined ? [device] : [{ name: "d", containerEdits: edits }];
  return JSON.stringify({ cdiVersion: "1.1.0", kind: "v.com/c", devices, ...change });
}

test("spec files: json; what the runtime has no part for is told", () => {
  const edits = { intelRdt: { closID: "x" }, netDevices: [{ hostInterfaceName: "eth1", name: "n" }] };
  const [only] = parseSpecFile(file({}, edits), "json").devices;
  assert.deepEqual(only?.edits.unsupported, ["intelRdt", "netDevices"]);
});

const refused: readonly (readonly [string, string, RegExp])[] = [
  ["no JSON", "{", /^the spec: not JSON/],
  ["no object", "[]", /^the spec: not an object/],
  ["an unknown field", file({ extra: 1 }), /unknown field "extra"/],
  [
    "an unknown edit",
    file({}, { env: ["A=b"], sysctl: {} }),
    /^devices\[0\]\.containerEdits: unknown field "sysctl"/,
  ],
  ["no version", file({ cdiVersion: undefined }), /^cdiVersion: missing/],
  ["a version to come", file({ cdiVersion: "2.0.0" }), /^cdiVersion: "2\.0\.0" is not one of/],
  ["no kind", file({ kind: "" }), /^kind: "" is not/],
  ["a kind without a vendor", file({ kind: "gpu" }), /^kind: "gpu" is not vendor\/class/],
  ["no devices", file({ devices: [] }), /^devices: none/],
  ["a device twice", file({ devices: [device, device] }), /^devices: d comes twice/],
  ["a device without edits", file({}, {}), /^devices\[0\]\.containerEdits: empty/],
  ["a device's bad name", file({ devices: [{ ...device, name: "a/b" }] }), /^devices\[0\]\.name/],
  ["a variable without a value", file({}, { env: ["A"] }), /env\[0\]: "A" is not NAME=value/],
  ["a list that is none", file({}, { env: "A=b" }), /env: not a list/],
  ["a relative device", file({}, { deviceNodes: [{ path: "dev/x" }] }), /deviceNodes\[0\]\.path/],
  ["a type of device", file({}, { deviceNodes: [{ path: "/x", type: "s" }] }), /\.type: "s"/],
  ["a negative number", file({}, { deviceNodes: [{ path: "/x", major: -1 }] }), /\.major: -1/],
  ["permissions", file({}, { deviceNodes: [{ path: "/x", permissions: "x" }] }), /\.permissions: "x"/],
  [
    "a mount over the root",
    file({}, { mounts: [{ hostPath: "/a", containerPath: "/./" }] }),
    /over the root/,
  ],
  [
    "a mount without a source",
    file({}, { mounts: [{ hostPath: "", containerPath: "/a" }] }),
    /hostPath: empty/,
  ],
  ["a hook's name", file({}, { hooks: [{ hookName: "later", path: "/x" }] }), /hookName: "later"/],
  ["a relative hook", file({}, { hooks: [{ hookName: "prestart", path: "x" }] }), /not an absolute path/],
  ["no time", file({}, { hooks: [{ hookName: "prestart", path: "/x", timeout: 0 }] }), /timeout/],
  ["a gid out of range", file({}, { additionalGids: [2 ** 31] }), /additionalGids\[0\]/],
  ["a NUL byte", file({}, { env: ["A=\0"] }), /NUL byte/],
  [
    "a newer field",
    file({ cdiVersion: "0.6.0" }, { additionalGids: [1] }),
    /additionalGids: needs version 0\.7\.0/,
  ],
  [
    "a newer name",
    file({ cdiVersion: "0.4.0", devices: [{ ...device, name: "0" }] }),
    /needs version 0\.5\.0/,
  ],
  ["a newer kind", file({ cdiVersion: "0.5.0", kind: "v.com/a.b" }), /^kind: needs version 0\.6\.0/],
];

for (const [what, text, message] of refused) {
  test(`spec files: ${what} is refused by name`, () => {
    assert.throws(
      () => parseSpecFile(text, "json"),
      (error) => hasCode(error, "invalid-argument") && message.test(error.message),
    );
  });
}

for (const [what, text] of [
  ["a key twice", "kind: a\nkind: b\n"],
  ["lists in lists without end", "[".repeat(100_000)],
  ["two documents", `${yaml}---\na: b\n`],
  [
    "aliases without end",
    `a: &a [x, x]\n${"bcdefghijk"
      .split("")
      .map((name, at) => `${name}: &${name} [*${"abcdefghijk"[at] ?? ""}, *${"abcdefghijk"[at] ?? ""}]`)
      .join("\n")}\n`,
  ],
] as const) {
  test(`spec files: yaml with ${what} is refused`, () => {
    assert.throws(() => parseSpecFile(text, "yaml"), { message: /^the spec: (not YAML|unknown field)/ });
  });
}

test("spec files: a name such as __proto__ is an unknown field like any other", () => {
  assert.throws(() => parseSpecFile("__proto__: { kind: a }\n", "yaml"), {
    message: /unknown field "__proto__"/,
  });
});
