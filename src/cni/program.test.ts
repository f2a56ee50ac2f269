import assert from "node:assert/strict";
import { test } from "node:test";
import { runPluginProgram } from "./program.ts";

const conf = {
  cniVersion: "1.1.0",
  name: "n",
  type: "static",
  ipam: { type: "static", addresses: [{ address: "10.1.0.2/24" }] },
};
const attachment = { CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0", CNI_NETNS: "/proc/self/ns/net" };

async function run(
  type: string,
  environment: Record<string, string>,
  stdin: unknown,
): Promise<{ exitCode: number; output: Record<string, unknown> | undefined }> {
  const { exitCode, stdout } = await runPluginProgram({
    type,
    environment,
    stdin: typeof stdin === "string" ? stdin : JSON.stringify(stdin),
    signal: AbortSignal.timeout(10_000),
    note: () => undefined,
  });
  return { exitCode, output: stdout === "" ? undefined : (JSON.parse(stdout) as Record<string, unknown>) };
}

test("cni program: VERSION tells every version", async () => {
  const supportedVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
  for (const [stdin, cniVersion] of [
    [{ cniVersion: "0.4.0" }, "0.4.0"],
    ["", "1.1.0"],
  ] as const) {
    const { exitCode, output } = await run("bridge", { CNI_COMMAND: "VERSION" }, stdin);
    assert.equal(exitCode, 0);
    assert.deepEqual(output, { cniVersion, supportedVersions });
  }
});

const failures: readonly (readonly [string, string, Record<string, string>, unknown, number, RegExp])[] = [
  ["no command", "static", {}, conf, 4, /CNI_COMMAND is not set/],
  ["an unknown command", "static", { CNI_COMMAND: "FIX" }, conf, 4, /unknown: FIX/],
  ["an unknown plugin", "dhcp", { CNI_COMMAND: "GC" }, conf, 4, /dhcp is no built-in plugin/],
  ["no JSON", "static", { CNI_COMMAND: "DEL" }, "{", 6, /configuration: not JSON/],
  ["a list", "static", { CNI_COMMAND: "DEL" }, "[]", 6, /expected an object/],
  [
    "an old version",
    "static",
    { CNI_COMMAND: "DEL" },
    { ...conf, cniVersion: "0.2.0" },
    1,
    /"0\.2\.0" is not supported/,
  ],
  ["no version", "static", { CNI_COMMAND: "DEL" }, { name: "n" }, 1, /"" is not supported/],
  [
    "GC before 1.1",
    "static",
    { CNI_COMMAND: "GC" },
    { ...conf, cniVersion: "1.0.0" },
    1,
    /GC came with CNI 1\.1\.0/,
  ],
  [
    "CHECK before 0.4",
    "static",
    { CNI_COMMAND: "CHECK" },
    { ...conf, cniVersion: "0.3.1" },
    1,
    /CHECK came with/,
  ],
  ["no name", "static", { CNI_COMMAND: "DEL" }, { cniVersion: "1.0.0" }, 7, /no name/],
  [
    "a name that is a path",
    "static",
    { CNI_COMMAND: "DEL" },
    { ...conf, name: "../n" },
    7,
    /not a network's name/,
  ],
  ["GC of nothing named", "static", { CNI_COMMAND: "GC" }, conf, 7, /no cni\.dev\/valid-attachments/],
  ["no container", "static", { CNI_COMMAND: "DEL" }, conf, 4, /CNI_CONTAINERID is not set/],
  [
    "a container that is a path",
    "static",
    { ...attachment, CNI_COMMAND: "DEL", CNI_CONTAINERID: "../x" },
    conf,
    4,
    /CNI_CONTAINERID: cannot be/,
  ],
  [
    "a long interface",
    "static",
    { ...attachment, CNI_COMMAND: "DEL", CNI_IFNAME: "0123456789abcdef" },
    conf,
    4,
    /CNI_IFNAME: cannot be/,
  ],
  [
    "an interface that is a path",
    "static",
    { ...attachment, CNI_COMMAND: "DEL", CNI_IFNAME: "a/b" },
    conf,
    4,
    /CNI_IFNAME/,
  ],
  [
    "no namespace",
    "static",
    { CNI_COMMAND: "ADD", CNI_CONTAINERID: "c1", CNI_IFNAME: "eth0" },
    conf,
    4,
    /CNI_NETNS is not set/,
  ],
  [
    "a namespace that is none",
    "static",
    { ...attachment, CNI_COMMAND: "ADD", CNI_NETNS: "/dev/null" },
    conf,
    4,
    /\/dev\/null is no network namespace/,
  ],
  [
    "the plugin's own namespace",
    "static",
    { ...attachment, CNI_COMMAND: "ADD" },
    conf,
    4,
    /the plugin's own network namespace/,
  ],
  [
    "a bad configuration",
    "portmap",
    { ...attachment, CNI_COMMAND: "CHECK" },
    { ...conf, markMasqBit: 40 },
    7,
    /between 0 and 31/,
  ],
];

for (const [what, type, environment, stdin, code, message] of failures) {
  test(`cni program: ${what}`, async () => {
    const { exitCode, output } = await run(type, environment, stdin);
    assert.equal(exitCode, 1);
    assert.equal(output?.["code"], code, JSON.stringify(output));
    assert.match(String(output["msg"]), message);
    assert.match(String(output["cniVersion"]), /^[01]\.\d\.\d$/);
  });
}

test("cni program: DEL and STATUS say nothing where all is well", async () => {
  for (const [type, command] of [
    ["static", "DEL"],
    ["portmap", "DEL"],
    ["static", "STATUS"],
    ["bridge", "STATUS"],
  ] as const) {
    const { CNI_NETNS: _gone, ...rest } = attachment;
    const result = await run(type, { ...rest, CNI_COMMAND: command }, conf);
    assert.deepEqual(result, { exitCode: 0, output: undefined }, `${type} ${command}`);
  }
  const missing = { ...conf, ipam: { type: "dhcp" } };
  const { output } = await run("bridge", { CNI_COMMAND: "STATUS", CNI_PATH: "/nonexistent" }, missing);
  assert.equal(output?.["code"], 50);
  assert.match(String(output["msg"]), /dhcp is not built in and not in \/nonexistent/);
});
