import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { settings } from "../../src/config/index.ts";

const text = readFileSync(join(import.meta.dirname, "../../packaging/berthd.service"), "utf8");

/** `Section.Key` to value, of a unit without repeated keys (systemd.syntax(7)). */
function parseUnit(unit: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let section = "";
  for (const line of unit.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) section = name;
    else if (key === undefined || value === undefined) assert.fail(`not a line of a unit: ${line}`);
    else {
      assert.ok(!found.has(`${section}.${key}`), `${key} is given twice`);
      found.set(`${section}.${key}`, value);
    }
  }
  return found;
}

const unit = parseUnit(text);

test("unit: what containers' survival and the daemon's work need", () => {
  const expected: Readonly<Record<string, string>> = {
    "Service.Type": "notify",
    "Service.KillMode": "process",
    "Service.Delegate": "yes",
    "Service.TasksMax": "infinity",
    "Service.Restart": "always",
    "Unit.StartLimitIntervalSec": "0",
    "Unit.RequiresMountsFor": settings.root.fallback,
    "Install.WantedBy": "multi-user.target",
  };
  for (const [key, value] of Object.entries(expected)) assert.equal(unit.get(key), value, key);
  const score = Number(unit.get("Service.OOMScoreAdjust"));
  assert.ok(score < -900 && score > -1000, "far below every container's, not immune");
  assert.ok(Number(unit.get("Service.LimitNOFILE")) >= 65_536);
  assert.match(unit.get("Service.ExecStart") ?? "", /^\/\S+\/berthd$/);
});

/** Settings of systemd.exec(5) that make a mount namespace for the service. */
const mountNamespace = [
  /^Private(Tmp|Devices|Mounts|IPC|Users|Network|PIDs)$/,
  /^Protect/,
  /^(ReadOnly|ReadWrite|Inaccessible|Exec|NoExec)(Paths|Directories)$/,
  /^Bind(ReadOnly)?Paths$/,
  /^TemporaryFileSystem$/,
  /^Root(Directory|Image)/,
  /^(Mount|Extension)(Images|Directories|Flags|APIVFS)$/,
  /^(DynamicUser|MountFlags|LogNamespace|NetworkNamespacePath)$/,
];

/** Settings that a container would inherit, or that remove what running containers use. */
const inherited = [
  /^MemoryDenyWriteExecute$/,
  /^NoNewPrivileges$/,
  /^(Capability|Ambient)/,
  /^SystemCall/,
  /^Restrict/,
  /^LockPersonality$/,
  /^RuntimeDirectory/,
  /^(User|Group|SupplementaryGroups)$/,
];

test("unit: nothing that gives it a mount namespace, or that containers would inherit", () => {
  const keys = [...unit.keys()].map((key) => key.split(".")[1] ?? "");
  for (const pattern of [...mountNamespace, ...inherited]) {
    assert.deepEqual(
      keys.filter((key) => pattern.test(key)),
      [],
      String(pattern),
    );
  }
});

test("unit: systemd understands every line", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "berth-unit-"));
  try {
    // The daemon may not be installed here: everything but its path is verified.
    const path = join(folder, "berthd.service");
    writeFileSync(path, text.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true"));
    const result = spawnSync("systemd-analyze", ["verify", "--man=no", path], {
      encoding: "utf8",
      timeout: 30_000,
    });
    if (result.error !== undefined) {
      context.skip(`systemd-analyze does not run: ${result.error.message}`);
      return;
    }
    const about = result.stderr.split("\n").filter((line) => line.includes("berthd.service"));
    assert.deepEqual(about, []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
