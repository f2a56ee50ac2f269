import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { getPriority, setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import {
  AF_UNIX,
  bind,
  capget,
  flock,
  geteuid,
  isAtLeast,
  isErrno,
  kernelVersion,
  kill,
  LOCK_EX,
  openNamespace,
  parseKernelRelease,
  pidfdOpen,
  pidfdSendSignal,
  readBoundingSet,
  recv,
  schedSetNice,
  sdNotify,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  sockaddrUn,
  socket,
  statfs,
  SysError,
  TMPFS_MAGIC,
  umask,
  umount2,
  withNetns,
} from "./index.ts";

const root = geteuid() === 0 ? {} : { skip: "needs root" };

function temporaryFolder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "berth-sys-"));
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true });
    },
  };
}

function capabilityLine(name: string): bigint {
  const status = readFileSync("/proc/thread-self/status", "utf8");
  return BigInt(`0x${new RegExp(`^${name}:\\s*(\\w+)$`, "m").exec(status)?.[1] ?? ""}`);
}

test("sys: an error reads like its call", () => {
  const error = new SysError("mount", 2, "/mnt/a");
  assert.equal(error.message, "mount /mnt/a: no such file or directory");
  assert.equal(error.code, "ENOENT");
  assert.equal(isErrno(error, "ENOENT"), true);
});

test("sys: kernel releases", () => {
  for (const [text, major, minor] of [
    ["6.1.0-18-amd64", 6, 1],
    ["5.10", 5, 10],
    ["odd", 0, 0],
  ] as const) {
    const version = parseKernelRelease(text);
    assert.deepEqual([version.major, version.minor], [major, minor]);
  }
  assert.equal(isAtLeast(parseKernelRelease("5.10.1"), 5, 10), true);
  assert.equal(isAtLeast(parseKernelRelease("5.9"), 5, 10), false);
  assert.equal(isAtLeast(kernelVersion(), 3, 0), true);
});

test("sys: capability sets are those that /proc tells", () => {
  const sets = capget();
  assert.equal(sets.effective, capabilityLine("CapEff"));
  assert.equal(sets.permitted, capabilityLine("CapPrm"));
  assert.equal(sets.inheritable, capabilityLine("CapInh"));
  assert.equal(readBoundingSet(), capabilityLine("CapBnd"));
});

test("sys: umask gives the old one", () => {
  const old = umask(0o77);
  assert.equal(umask(old), 0o77);
});

test("sys: signals by pid and by pidfd", async () => {
  assert.throws(() => {
    kill(2 ** 30, 0);
  }, /^SysError: kill 1073741824: no such process$/);
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  const pidfd = pidfdOpen(child.pid ?? 0, 0);
  pidfdSendSignal(pidfd, 15);
  assert.deepEqual(await once(child, "exit"), [null, "SIGTERM"]);
  assert.throws(
    () => {
      pidfdSendSignal(pidfd, 15);
    },
    (error) => isErrno(error, "ESRCH"),
  );
  closeSync(pidfd);
});

test("sys: a lock held elsewhere is waited for until the deadline", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "lock");
  const [mine, other] = [openSync(path, "w"), openSync(path, "w")];
  await flock(mine, LOCK_EX, path, AbortSignal.timeout(1000));
  await assert.rejects(flock(other, LOCK_EX, path, AbortSignal.timeout(30)), { name: "TimeoutError" });
  const waiting = flock(other, LOCK_EX, path, AbortSignal.timeout(10_000));
  closeSync(mine);
  await waiting;
  closeSync(other);
});

test("sys: the service manager is told through a path and through an abstract name", () => {
  using folder = temporaryFolder();
  for (const name of [join(folder.path, "notify"), `@berth-test-${process.pid}`]) {
    const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bind(fd, sockaddrUn(name));
    sdNotify(name, "READY=1\nSTATUS=serving");
    assert.equal(recv(fd, Buffer.alloc(100))?.toString(), "READY=1\nSTATUS=serving");
    assert.equal(recv(fd, Buffer.alloc(100)), undefined);
    closeSync(fd);
  }
  assert.throws(
    () => {
      sdNotify(join(folder.path, "absent"), "READY=1");
    },
    (error) => isErrno(error, "ENOENT"),
  );
});

test("sys: statfs tells type and sizes", async () => {
  assert.equal((await statfs("/dev/shm")).type, TMPFS_MAGIC);
  assert.ok((await statfs("/")).totalBytes > 0n);
});

test("sys: umount2 names the path", root, async () => {
  using folder = temporaryFolder();
  await assert.rejects(umount2(folder.path, 0), {
    name: "SysError",
    code: "EINVAL",
    path: folder.path,
  });
});

test("sys: a file that is no namespace is refused, as after its pin's mount went", () => {
  using folder = temporaryFolder();
  const pin = join(folder.path, "pin");
  writeFileSync(pin, "");
  assert.throws(() => openNamespace(pin), { code: "EINVAL", path: pin });
  assert.throws(
    () => openNamespace(join(folder.path, "absent")),
    (error) => isErrno(error, "ENOENT"),
  );
});

test("sys: withNetns runs inside and comes back, also when the work throws", root, async () => {
  const own = readlinkSync("/proc/thread-self/ns/net");
  const child = spawn("unshare", ["-n", "sh", "-c", "echo; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const path = `/proc/${child.pid ?? 0}/ns/net`;
  const fd = openNamespace(path);
  try {
    assert.equal(
      withNetns(fd, () => readlinkSync("/proc/thread-self/ns/net")),
      readlinkSync(path),
    );
    assert.throws(
      () =>
        withNetns(fd, () => {
          throw new Error("from inside");
        }),
      /from inside/,
    );
    assert.equal(readlinkSync("/proc/thread-self/ns/net"), own);
  } finally {
    closeSync(fd);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

test("sched_setattr: a nice value that no child inherits", root, () => {
  const before = getPriority();
  schedSetNice(-5);
  try {
    assert.equal(getPriority(), -5);
    const { stdout } = spawnSync("cat", ["/proc/self/stat"], { encoding: "utf8" });
    // The nineteenth field (proc_pid_stat(5)), counted from behind the name.
    assert.equal(stdout.split(") ")[1]?.split(" ")[16], "0");
  } finally {
    setPriority(before);
  }
});
