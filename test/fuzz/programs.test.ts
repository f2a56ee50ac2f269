import "../shim/isolated.ts";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { buildUnpacker, luajit, unpacker } from "../images/harness.ts";
import { buildTar } from "../images/tar-builder.ts";
import { TestHost } from "../shim/host.ts";
import { compileLua } from "../shim/support/lua.ts";
import { budgetSeconds, firstSeed, inputs, repeat } from "./budget.ts";
import { mutate, mutateJson, Random } from "./mutate.ts";

/** Of the budget, for each of the three. */
const share = 0.13;

/** One input, or one batch of the specs, that takes longer hangs. */
const hangMs = 30_000;

const folder = mkdtempSync(join(tmpdir(), "berth-fuzz-"));
before(buildUnpacker);
after(() => {
  rmSync(folder, { recursive: true });
});

/** Runs `one` with seed after seed until the time is over. */
async function each(context: TestContext, one: (seed: number) => Promise<void> | void): Promise<void> {
  const end = performance.now() + budgetSeconds * share * 1000;
  let done = 0;
  for (; done < inputs && performance.now() < end; done++) {
    const seed = firstSeed + done;
    try {
      await one(seed);
    } catch (cause) {
      throw new Error(`${repeat(seed)}: ${String(cause)}`, { cause });
    }
  }
  context.diagnostic(`${done} rounds from seed ${firstSeed}`);
}

const layers = [
  buildTar([
    { name: "a/", type: "5" },
    { name: "a/file", data: "hello" },
    { name: "a/link", type: "2", linkName: "../../../victim" },
    { name: "a/hard", type: "1", linkName: "a/file" },
    { name: "null", type: "3", major: 1, minor: 3 },
  ]),
  buildTar([
    { name: "x", data: "y", pax: { path: "p/q", "SCHILY.xattr.user.a": "b", mtime: "1.5", size: "1" } },
    { name: ".wh..wh..opq" },
    { name: "a/.wh.file" },
  ]),
  buildTar([
    { name: "s", type: "S", data: "sparse" },
    { name: "long", type: "L", data: "n".repeat(300) },
  ]),
];

test("fuzz: the unpacker: a layer's bytes give an answer, in time, and change nothing outside", async (context) => {
  const victim = join(folder, "victim");
  writeFileSync(victim, "mine", { mode: 0o600 });
  const { ctimeMs } = statSync(victim);
  const corpus = [...layers, ...layers.map((layer) => gzipSync(layer))];
  await each(context, async (seed) => {
    const input = mutate(new Random(seed), corpus);
    const root = join(folder, "root");
    mkdirSync(root);
    const child = spawn(luajit, [unpacker, "unpack", root, "1000000", "1000"], {
      env: {},
      stdio: ["pipe", "pipe", "ignore"],
      timeout: hangMs,
      killSignal: "SIGKILL",
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    const [answer] = await Promise.all([text(child.stdout), once(child, "close")]);
    assert.equal(child.signalCode, null, "killed, for it hung or crashed");
    const report = JSON.parse(answer) as { ok: boolean; message: string };
    if (!report.ok) assert.doesNotMatch(report.message, /attempt to|\.lua:\d+|not enough memory/);
    rmSync(root, { recursive: true });
    assert.deepEqual(readdirSync(folder), ["victim"]);
    assert.equal(statSync(victim).ctimeMs, ctimeMs);
  });
});

const spec = {
  ociVersion: "1.2.0",
  root: { path: "rootfs", readonly: true },
  process: {
    user: { uid: 0, gid: 0, additionalGids: [1], umask: 18 },
    args: ["sh"],
    env: ["A=b"],
    cwd: "/",
    capabilities: { bounding: ["CAP_CHOWN"] },
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1, hard: 2 }],
    scheduler: { policy: "SCHED_OTHER", nice: 1 },
    ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 1 },
  },
  hostname: "h",
  mounts: [{ destination: "/proc", type: "proc", source: "proc", options: ["nosuid"] }],
  hooks: { createRuntime: [{ path: "/x", args: ["x"], timeout: 1 }] },
  annotations: { a: "b" },
  linux: {
    namespaces: [{ type: "mount" }, { type: "network", path: "/run/netns/x" }],
    uidMappings: [{ containerID: 0, hostID: 1, size: 2 }],
    devices: [{ path: "/dev/x", type: "c", major: 1, minor: 2, fileMode: 438 }],
    cgroupsPath: "/a/b",
    resources: {
      memory: { limit: 1 },
      cpu: { shares: 2 },
      unified: { "memory.max": "1" },
      devices: [{ allow: false }],
    },
    sysctl: { "net.a": "1" },
    seccomp: { defaultAction: "SCMP_ACT_ALLOW" },
    maskedPaths: ["/x"],
  },
};

/** Reads specs, each behind its length in eight hex digits; prints what is neither read nor refused by a failure. */
const readAll = `
local bundle, path = ...
local file = io.open(path, "rb")
local number = 0
for size in function() return file:read(8) end do
  local input = file:read(tonumber(size, 16)) or ""
  local out = io.open(bundle .. "/config.json", "wb")
  out:write(input)
  out:close()
  local ok, thrown = pcall(module.readSpec, bundle)
  if not ok and (type(thrown) ~= "table" or thrown.code == "internal") then
    print(number, type(thrown) == "table" and thrown.message or tostring(thrown))
  end
  number = number + 1
end
if collectgarbage("count") > 64 * 1024 then print(number, "memory: " .. collectgarbage("count") .. " KiB") end`;

/** Specs of one process of LuaJIT. */
const batch = 200;

test("fuzz: the OCI spec: read, or refused by a failure", async (context) => {
  using module = compileLua("spec/read-spec.ts");
  const bundle = mkdtempSync(join(tmpdir(), "berth-fuzz-spec-"));
  const batchFile = join(bundle, "batch");
  const corpus = [spec];
  const bytes = corpus.map((one) => Buffer.from(JSON.stringify(one)));
  await each(context, (seed) => {
    const random = new Random(seed);
    const documents = Array.from({ length: batch }, () =>
      random.below(3) === 0 ? mutate(random, bytes) : mutateJson(random, corpus),
    );
    const sized = documents.map((one) => [Buffer.from(one.length.toString(16).padStart(8, "0")), one]);
    writeFileSync(batchFile, Buffer.concat(sized.flat()));
    assert.equal(module.run(readAll, [bundle, batchFile]), "");
  });
  rmSync(bundle, { recursive: true });
});

/** A frame of the shim's protocol: the payload's length, its kind, the payload. */
function frame(message: object | string, kind = 0): Buffer {
  const payload = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
  const header = Buffer.alloc(5);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt8(kind, 4);
  return Buffer.concat([header, payload]);
}

/** The launcher of a folder's own: its arguments name the folder. */
function launcherOf(runFolder: string): string {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = pids.find((pid) => {
    const path = `/proc/${pid}/cmdline`;
    const args = existsSync(path) ? readFileSync(path, "utf8").split("\0") : [];
    return args[0] === "berth-launcher" && args[3] === join(runFolder, "launcher");
  });
  if (found === undefined) throw new Error(`no launcher of ${runFolder}`);
  return found;
}

test("fuzz: the launcher: whatever bytes come, it ends the connection and serves on", async (context) => {
  await using host = await TestHost.start();
  const { build, boot } = host.launcher.identity;
  const pid = launcherOf(host.folder);
  const hello = frame({ type: "hello", protocol: 1, build, boot });
  // Nothing that could be understood as an order: it would be carried out.
  const corpus = [
    hello,
    Buffer.concat([hello, frame({ type: "no-such", seq: 1 })]),
    frame("{{{"),
    frame("x".repeat(300), 3),
  ];
  const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;
  const before = descriptors();
  await each(context, async (seed) => {
    const socket = connect(join(host.folder, "launcher/launcher.sock"));
    socket.on("error", () => undefined);
    socket.end(mutate(new Random(seed), corpus));
    socket.resume();
    await once(socket, "close", { signal: AbortSignal.timeout(hangMs) });
  });
  assert.equal((await host.run(["true"])).record.exitCode, 0);
  assert.equal(readFileSync(`/proc/${pid}/comm`, "utf8"), "berth-launcher\n");
  assert.ok(descriptors() <= before + 1);
});
