import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

/** Tries at what needs luck; more by hand. */
const rounds = Number(process.env["BERTH_RACE_ROUNDS"] ?? 15);

/** More than the published attacks had. */
const strong = { capabilities: { add_capabilities: ["SYS_PTRACE", "DAC_READ_SEARCH", "NET_ADMIN"] } };

/** As strong, but for the one capability with which the kernel lets a process look into any other of its PID namespace. */
const noPtrace = { capabilities: { add_capabilities: ["DAC_READ_SEARCH", "NET_ADMIN"] } };

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** The host's programs that have to do with a container. */
const hostPrograms = [
  "/usr/bin/luajit",
  process.execPath,
  join(import.meta.dirname, "../../dist/shim/berth-shim.lua"),
];

/** What they are now. */
async function programs(): Promise<readonly string[]> {
  const contents = await Promise.all(hostPrograms.map((path) => readFile(path)));
  return contents.map((bytes) => createHash("sha256").update(bytes).digest("hex"));
}

test("CVE-2019-5736: no process that enters a container gives a program of the host away for writing", async () => {
  await using pod = await TestPod.run(daemon);
  const before = await programs();
  // Writes into whatever program any process but its own and init's runs; busybox itself is the image's own.
  const attack = `
    echo ready
    while :; do
      for exe in /proc/[0-9]*/exe; do
        case $(readlink $exe) in
          */busybox|'') ;;
          *) echo "saw $exe"; (echo evil >$exe) 2>/dev/null && echo "wrote $exe" ;;
        esac
      done
    done`;
  const id = await pod.start(attack, { security: strong });
  await eventually(async () => ((await readLog(id)).includes("ready") ? true : undefined), "the attacker");
  for (let round = 0; round < rounds; round++) assert.equal((await execSync(daemon, id, "true")).code, 0);
  assert.doesNotMatch(await readLog(id), /wrote/);
  assert.deepEqual(await programs(), before);
});

test("CVE-2019-5736: a command that is /proc/self/exe, or a script of it, runs nothing of the host that can be written", async () => {
  await using pod = await TestPod.run(daemon);
  const before = await programs();
  const id = await pod.start("printf '#!/proc/self/exe\\n' >/tmp/evil; chmod +x /tmp/evil; exec sleep 1000", {
    security: strong,
  });
  for (const command of ["/proc/self/exe", "/tmp/evil", "/proc/self/fd/3", "/proc/self/fd/7"]) {
    await daemon.runtime
      .ExecSync({ container_id: id, cmd: [command, "-e", "print(1)"], timeout: 10 })
      .catch(() => undefined);
    const created = await pod.create("", { command: [command], args: ["-e", "print(1)"], security: strong });
    await daemon.runtime.StartContainer({ container_id: created }).catch(() => undefined);
  }
  assert.deepEqual(await programs(), before);
  assert.equal((await execSync(daemon, id, "true")).code, 0);
});

test("CVE-2016-9962, CVE-2024-21626: a process that enters has no descriptor of the host that others could reach", async () => {
  await using pod = await TestPod.run(daemon);
  const attack = `
    echo ready
    while :; do
      for fd in /proc/[0-9]*/fd/* /proc/[0-9]*/cwd /proc/[0-9]*/root; do
        to=$(readlink $fd 2>/dev/null) || continue
        case $to in
          /|/bin/*|/proc*|/dev/null|pipe:*|socket:*) ;;
          *) echo "saw $fd $to" ;;
        esac
      done
    done`;
  const id = await pod.start(attack, { security: noPtrace });
  await eventually(async () => ((await readLog(id)).includes("ready") ? true : undefined), "the attacker");
  for (let round = 0; round < rounds; round++) assert.equal((await execSync(daemon, id, "true")).code, 0);
  assert.doesNotMatch(await readLog(id), /saw/);
  const { stdout } = await execSync(
    daemon,
    id,
    "sh",
    "-c",
    "for f in /proc/self/fd/*; do readlink $f; done | sort -u",
  );
  assert.doesNotMatch(stdout, /^\/(?!dev\/null|proc)/m);
});

test("CVE-2021-30465, CVE-2024-45310, CVE-2025-52565: links that change while a container is made lead nowhere", async () => {
  const victim = join(world.folder, "victim");
  const volume = join(world.folder, "volume");
  const dev = join(world.folder, "dev");
  for (const folder of [victim, volume, join(volume, "real"), dev]) await mkdir(folder);
  await writeFile(join(victim, "console"), "mine\n");
  await using pod = await TestPod.run(daemon);
  const shared = { container_path: "/volume", host_path: volume };
  const evil = `${"../".repeat(20)}${victim.slice(1)}`;
  // Exchanges a folder for a link to the host's path, as fast as it can; and so the console of a /dev that is shared.
  const attack = `
    ln -s ${evil} /volume/link; ln -s ${evil}/console /dev2/evil; touch /dev2/good
    while :; do
      mv /volume/real /volume/place 2>/dev/null; mv /volume/place /volume/real
      mv /volume/link /volume/place 2>/dev/null; mv /volume/place /volume/link
      ln /dev2/good /dev2/console; rm -f /dev2/console; ln -s ${evil}/console /dev2/console; rm -f /dev2/console
    done 2>/dev/null`;
  await pod.start(attack, { mounts: [shared, { container_path: "/dev2", host_path: dev }] });
  for (let round = 0; round < rounds; round++) {
    const below = { container_path: "/volume/place/made/deep", host_path: join(world.folder, "root") };
    const made = pod.create("true", { mounts: [shared, below] });
    const console = pod.create("true", { tty: true, mounts: [{ container_path: "/dev", host_path: dev }] });
    for (const one of await Promise.allSettled([made, console])) {
      if (one.status === "fulfilled") await daemon.runtime.RemoveContainer({ container_id: one.value });
    }
    assert.deepEqual(await readdir(victim), ["console"]);
    assert.doesNotMatch(await world.must("cat", "/proc/self/mountinfo"), /victim/);
  }
  assert.equal(await readFile(join(victim, "console"), "utf8"), "mine\n");
});

test("CVE-2025-52881: what is written below /proc for a container arrives there, whatever its volumes hold", async () => {
  const fake = join(world.folder, "fake");
  await mkdir(join(fake, "self/attr"), { recursive: true });
  await mkdir(join(fake, "sys/kernel"), { recursive: true });
  await writeFile(join(fake, "self/oom_score_adj"), "");
  await using pod = await TestPod.run(daemon, {
    linux: {
      sysctls: { "net.ipv4.ip_default_ttl": "55" },
      security_context: { namespace_options: { pid: "CONTAINER" } },
    },
  });
  await assert.rejects(pod.create("true", { mounts: [{ container_path: "/proc", host_path: fake }] }));
  const mounts = [{ container_path: "/tmp/proc", host_path: fake }];
  const script = "cat /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_default_ttl";
  const security = { namespace_options: { pid: "CONTAINER" } } as const;
  const seen = await pod.output(script, {
    mounts,
    linux: { resources: { oom_score_adj: "321" }, security_context: security },
  });
  assert.equal(seen, "321\n55\n");
  assert.equal(await readFile(join(fake, "self/oom_score_adj"), "utf8"), "");
});

test("CVE-2019-14891: a container that uses up its memory does not take its shim along", async () => {
  await using pod = await TestPod.run(daemon);
  const { status } = await pod.finish("tail /dev/zero", {
    linux: {
      resources: { memory_limit_in_bytes: 16 * 1024 * 1024 },
      security_context: { namespace_options: { pid: "CONTAINER" } },
    },
  });
  // Its reason is known to the shim alone: who reports it has lived on.
  assert.equal(status.reason, "OOMKilled");
});

async function readLog(id: string): Promise<string> {
  const { log_path } = await statusOf(daemon, id);
  return readFile(log_path, "utf8");
}
