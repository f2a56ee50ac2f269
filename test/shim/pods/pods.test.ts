import "../isolated.ts";
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type {
  CreatePodRequest,
  DestroyRequest,
  PodCreated,
  RemovePodRequest,
} from "../../../src/shim/protocol/messages.ts";
import { parseHierarchies } from "../../../src/shim/program/cgroup/hierarchies.ts";
import { luaLiteral } from "../support/lua-literal.ts";
import { type LuaModule, compileLua } from "../support/lua.ts";

type Create = Partial<Omit<CreatePodRequest, "type" | "seq">>;

const hierarchies = parseHierarchies(readFileSync("/proc/self/mountinfo", "utf8"));
const cgroup = `/berth-pods-test-${process.pid}`;

/** Runs one call in a process of its own, as a child of the launcher does; a failure is thrown as `code message`. */
function call(module: LuaModule, name: string, request: object, awaited = true): PodCreated {
  const text = module.run(`
local ok, result = pcall(module.${name}, ${luaLiteral(request)}, module.discoverHierarchies(),
  function() return ${awaited} end)
if not ok then print("failure", type(result) == "table" and result.code .. " " .. result.message or tostring(result))
elseif result and result.reaper then print("reaper", result.reaper.pid, result.reaper.startTicks) end
`);
  const [kind, first = "", second = ""] = text.trimEnd().split("\t");
  if (kind === "failure") throw new Error(first);
  return kind === "reaper" ? { reaper: { pid: Number(first), startTicks: Number(second) } } : {};
}

function mounts(below: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.split(" ")[4]?.startsWith(`${below}/`));
}

function cgroupFolders(): string[] {
  return hierarchies.map(({ mountPoint }) => mountPoint + cgroup).filter((folder) => existsSync(folder));
}

function inPod(pins: CreatePodRequest["pins"], script: string): string {
  const enter: string[] = [];
  if (pins.user !== undefined) enter.push(`--user=${pins.user}`, "--setuid=0", "--setgid=0");
  if (pins.network !== undefined) enter.push(`--net=${pins.network}`);
  if (pins.ipc !== undefined) enter.push(`--ipc=${pins.ipc}`);
  if (pins.uts !== undefined) enter.push(`--uts=${pins.uts}`);
  if (pins.pid !== undefined) enter.push(`--pid=${pins.pid}`);
  return execFileSync("nsenter", [...enter, "--", "sh", "-c", script], { encoding: "utf8" });
}

/** A process that nobody has collected yet has ended all the same. */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

const isRoot = process.getuid?.() === 0;

await suite("pods", { skip: isRoot ? false : "needs root" }, async () => {
  const module = compileLua("pods/index.ts", "cgroup/index.ts");
  const folder = mkdtempSync(join(tmpdir(), "berth-pods-"));
  const network = join(folder, "netns");
  const pins = join(folder, "ns");
  mkdirSync(pins);
  const at = (name: string): string => join(pins, name);
  const made: RemovePodRequest[] = [];

  const create = (change: Create): { readonly pod: RemovePodRequest; readonly created: PodCreated } => {
    const request = {
      type: "create-pod",
      seq: 1,
      id: "p",
      pins: {},
      hostname: "",
      sysctls: {},
      ...change,
    } as const;
    const created = call(module, "createPod", request);
    const pod: RemovePodRequest = {
      type: "remove-pod",
      seq: 2,
      id: "p",
      pins: request.pins,
      ...(request.shm === undefined ? {} : { shmPath: request.shm.path }),
      ...(request.cgroup === undefined ? {} : { cgroup: request.cgroup }),
      ...created,
    };
    made.push(pod);
    return { pod, created };
  };
  const remove = (pod: RemovePodRequest): void => {
    call(module, "removePod", pod);
  };
  const destroy = (path: string, timeoutMs = 5000): void => {
    const request: DestroyRequest = { type: "destroy", seq: 3, id: "d", cgroup: path, timeoutMs };
    call(module, "destroy", request);
  };
  const nothingLeft = (): void => {
    assert.deepEqual(mounts(pins), []);
    assert.deepEqual(mounts(network), []);
    assert.deepEqual(readdirSync(pins), []);
    assert.deepEqual(existsSync(network) ? readdirSync(network) : [], []);
    assert.deepEqual(
      cgroupFolders().flatMap((one) =>
        readdirSync(one, { withFileTypes: true }).filter((entry) => entry.isDirectory()),
      ),
      [],
    );
  };

  afterEach(() => {
    for (const pod of made.splice(0)) remove(pod);
    nothingLeft();
  });
  after(() => {
    destroy(cgroup);
    assert.deepEqual(cgroupFolders(), []);
    module[Symbol.dispose]();
    execFileSync("umount", ["--recursive", "--lazy", network]);
    rmSync(folder, { recursive: true });
  });

  await test("network, ipc and uts: pinned, named, lo up, sysctls set inside and not on the host", () => {
    const all = { network: join(network, "a"), ipc: at("ipc"), uts: at("uts") };
    const hostname = readFileSync("/proc/sys/kernel/hostname", "utf8");
    const forward = readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8");
    const { created } = create({
      pins: all,
      hostname: "pod-one",
      sysctls: {
        "net.ipv4.ip_unprivileged_port_start": "77",
        "net/ipv4/conf/lo/forwarding": "1",
        "kernel.shmmax": "12345678",
        "kernel.sem": "250\t32000\t32\t200",
        "fs.mqueue.msg_max": "20",
      },
    });
    assert.deepEqual(created, {});
    const seen = inPod(
      all,
      "hostname; cd /proc/sys; cat net/ipv4/ip_unprivileged_port_start net/ipv4/conf/lo/forwarding kernel/shmmax fs/mqueue/msg_max; ip -o link show lo",
    );
    assert.match(seen, /^pod-one\n77\n1\n12345678\n20\n1: lo: <LOOPBACK,UP/);
    assert.equal(readFileSync("/proc/sys/kernel/hostname", "utf8"), hostname);
    assert.equal(readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8"), forward);
    assert.match(readFileSync("/proc/self/mountinfo", "utf8"), new RegExp(` ${network} [^-]*shared:`));
    assert.notEqual(readlinkSync("/proc/self/ns/net"), `net:[${statSync(all.network).ino}]`);
  });

  await test("shared memory: a tmpfs of the size, 1777, nosuid, nodev, noexec", () => {
    const path = join(folder, "shm");
    const { pod } = create({ shm: { path, sizeBytes: 1024 * 1024 } });
    const line =
      readFileSync("/proc/self/mountinfo", "utf8")
        .split("\n")
        .find((one) => one.includes(` ${path} `)) ?? "";
    assert.match(line, /nosuid,nodev,noexec.* - tmpfs .*size=1024k/);
    assert.equal(statSync(path).mode & 0o7777, 0o1777);
    remove(pod);
    assert.equal(existsSync(path), false);
  });

  await test("user namespace: several mappings; it owns the others, shared memory and message queues", () => {
    const all = { user: at("user"), network: join(network, "u"), ipc: at("ipc-u"), uts: at("uts-u") };
    const path = join(folder, "shm-u");
    create({
      pins: all,
      hostname: "pod-user",
      sysctls: { "net.ipv4.ip_forward": "1", "kernel.shmmni": "99", "fs.mqueue.queues_max": "3" },
      shm: { path, sizeBytes: 4096 },
      userMappings: {
        uids: [
          { containerID: 0, hostID: 100000, size: 1000 },
          { containerID: 1000, hostID: 200000, size: 64536 },
        ],
        gids: [{ containerID: 0, hostID: 300000, size: 65536 }],
      },
    });
    const seen = inPod(
      all,
      "hostname; id -u; cat /proc/self/uid_map | tr -s ' '; cat /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/queues_max; ip link set lo down && echo owner; unshare -m sh -c 'mount -t mqueue m /mnt && stat -c %u /mnt'",
    );
    assert.equal(seen, "pod-user\n0\n 0 100000 1000\n 1000 200000 64536\n99\n3\nowner\n0\n");
    const { uid, gid } = statSync(path);
    assert.deepEqual([uid, gid], [100000, 300000]);
  });

  for (const users of ["host", "own"] as const) {
    await test(`pid namespace with ${users} users: a PID 1 with nothing to take, which collects and can't be killed from inside`, async () => {
      const mapping = [{ containerID: 0, hostID: 100000, size: 65536 }];
      const all = {
        ...(users === "own" ? { user: at("user-r") } : {}),
        network: join(network, "r"),
        pid: at("pid-r"),
      };
      const { pod, created } = create({
        pins: all,
        cgroup: `${cgroup}/r`,
        ...(users === "own" ? { userMappings: { uids: mapping, gids: mapping } } : {}),
      });
      const pid = created.reaper?.pid ?? 0;
      const status = readFileSync(`/proc/${pid}/status`, "utf8");
      assert.match(status, /^NSpid:\t\d+\t1$/m);
      for (const set of ["CapPrm", "CapEff", "CapBnd", "CapInh"])
        assert.match(status, new RegExp(`^${set}:\t0{16}$`, "m"));
      assert.match(status, /^NoNewPrivs:\t1$/m);
      assert.deepEqual(readdirSync(`/proc/${pid}/root/`), []);
      assert.match(readFileSync(`/proc/${pid}/cgroup`, "utf8"), new RegExp(`0::${cgroup}/r$`, "m"));
      // Orphans, one that ends and one that stays; signals from inside do nothing.
      inPod(
        { pid: all.pid },
        "(sleep 0.1 &); (sleep 300 >/dev/null 2>&1 &); kill -9 1; kill -15 1; kill -17 1; sleep 0.3",
      );
      await sleep(100);
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
      assert.equal(children.length, 1);
      assert.deepEqual(readdirSync(`/proc/${pid}/fd`), ["0", "1", "2"]);
      assert.equal(isAlive(pid), true);
      remove(pod);
      assert.equal(isAlive(pid), false);
      assert.equal(isAlive(Number(children[0])), false);
      remove(pod);
    });
  }

  await test("removal finds a PID 1 that nobody recorded, and leaves a stranger with its pid alone", () => {
    const all = { pid: at("pid-l") };
    const { pod, created } = create({ pins: all, cgroup: `${cgroup}/l` });
    const { reaper, ...unrecorded } = pod;
    assert.ok(reaper);
    remove({
      ...unrecorded,
      pins: {},
      reaper: { pid: process.pid, startTicks: 1 },
      cgroup: `${cgroup}/none`,
    });
    assert.equal(isAlive(created.reaper?.pid ?? 0), true);
    remove(unrecorded);
    assert.equal(isAlive(created.reaper?.pid ?? 0), false);
  });

  await test("removal goes on after a part that fails, and names it", () => {
    const path = join(folder, "full");
    const { pod } = create({ pins: { ipc: at("ipc-f"), uts: at("uts-f") } });
    mkdirSync(path);
    writeFileSync(join(path, "file"), "");
    assert.throws(() => {
      remove({ ...pod, shmPath: path });
    }, /^Error: internal pod p: rmdir .*\/full: directory not empty$/);
    nothingLeft();
    rmSync(path, { recursive: true });
  });

  await test("refused or failed: nothing is left", () => {
    const net = join(network, "x");
    const pid = { pins: { network: net, pid: at("pid-x") }, cgroup: `${cgroup}/x` };
    const user = { network: net, user: at("user-x") };
    const map = (
      containerID: number,
      hostID = 100000,
    ): { containerID: number; hostID: number; size: number } => ({ containerID, hostID, size: 5 });
    const table: readonly [Create, RegExp][] = [
      [
        { pins: { network: net }, sysctls: { "kernel.shmmax": "1" } },
        /^Error: invalid-argument pod p: linux\.sysctls\["kernel\.shmmax"\]: the ipc namespace is the host's$/,
      ],
      [
        { pins: { network: net }, sysctls: { "kernel.hostname": "x" } },
        /^Error: invalid-argument pod p: linux\.sysctls\["kernel\.hostname"\]: is not of a namespace$/,
      ],
      [
        { pins: { network: net }, sysctls: { "kernel.core_pattern": "x" } },
        /^Error: invalid-argument .*is not of a namespace$/,
      ],
      [
        { pins: { network: net }, sysctls: { "net/../kernel/core_pattern": "x" } },
        /^Error: invalid-argument sysctl .*: not a name$/,
      ],
      [
        { ...pid, sysctls: { "net.ipv4.nosuch": "1" } },
        /^Error: invalid-argument pod p: linux.sysctls.*: write \/proc\/sys\/net\/ipv4\/nosuch: no such file/,
      ],
      [
        { ...pid, sysctls: { "net.ipv4.ip_forward": "bogus" } },
        /^Error: invalid-argument pod p: linux.sysctls.*: write .*ip_forward: invalid argument$/,
      ],
      [
        { ...pid, pins: { ...pid.pins, pid: join(folder, "missing/pid") } },
        /^Error: internal pod p: open .*missing\/pid: no such file or directory$/,
      ],
      [
        { ...pid, shm: { path: join(folder, "missing/shm"), sizeBytes: 1 } },
        /^Error: internal pod p: mkdir .*missing\/shm: no such file/,
      ],
      [{ ...pid, cgroup: "/../x" }, /^Error: invalid-argument .*cgroup path/],
      [{ pins: { pid: at("pid-x") } }, /pins.pid and cgroup go together/],
      [{ pins: user }, /pins.user and userMappings go together/],
      [{ pins: user, userMappings: { uids: [map(1)], gids: [map(0)] } }, /userMappings: 0 is not mapped/],
      [
        { pins: user, userMappings: { uids: [map(0), map(2, 100002)], gids: [map(0)] } },
        /^Error: invalid-argument pod p: userMappings: write/,
      ],
    ];
    for (const [change, expected] of table) {
      assert.throws(() => create(change), expected);
      nothingLeft();
    }
  });

  await test("given up while it is made: nothing is left, whatever the other side has undone by then", () => {
    const all = { network: join(network, "g"), ipc: at("ipc-g"), pid: at("pid-g") };
    const request = {
      ...{ type: "create-pod", seq: 1, id: "p", pins: all, hostname: "", sysctls: {} },
      shm: { path: join(folder, "shm-g"), sizeBytes: 4096 },
      cgroup: `${cgroup}/g`,
    };
    assert.throws(() => call(module, "createPod", request, false), /^Error: internal pod p: given up$/);
    nothingLeft();
    assert.equal(existsSync(request.shm.path), false);
    const shared = { ...request, pins: {}, cgroup: undefined };
    assert.throws(() => call(module, "createPod", shared, false), /^Error: internal pod p: given up$/);
    assert.equal(existsSync(request.shm.path), false);
  });

  await test("a pin that exists is left as it is", () => {
    writeFileSync(at("taken"), "mine");
    assert.throws(
      () => create({ pins: { ipc: at("ipc-t"), uts: at("taken") } }),
      /^Error: failed-precondition pod p: pin .* exists already$/,
    );
    assert.equal(readFileSync(at("taken"), "utf8"), "mine");
    rmSync(at("taken"));
  });

  await test("destroy: kills below, removes deepest first, is idempotent", async () => {
    const deep = `${cgroup}/d/x/y`;
    const folders = hierarchies.map(({ mountPoint, version }) => ({ path: mountPoint + deep, version }));
    for (const { path } of folders.filter(
      ({ path }) => /unified|pids|freezer/.test(path) || folders.length === 1,
    ))
      mkdirSync(path, { recursive: true });
    const child = spawn("sleep", ["300"], { stdio: "ignore" });
    const ended = new Promise((resolve) =>
      child.once("exit", (_code, signal) => {
        resolve(signal);
      }),
    );
    for (const { path } of folders.filter(({ path }) => existsSync(path)))
      writeFileSync(join(path, "cgroup.procs"), String(child.pid));
    destroy(`${cgroup}/d`);
    assert.equal(await ended, "SIGKILL");
    for (const { mountPoint } of hierarchies) assert.equal(existsSync(`${mountPoint}${cgroup}/d`), false);
    destroy(`${cgroup}/d`);
    assert.throws(() => {
      destroy("/");
    }, /^Error: invalid-argument d: cgroup path/);
  });
});
