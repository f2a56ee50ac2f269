import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, podConfig } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const project = join(import.meta.dirname, "../..");
const node = join(project, "node_modules/.bin/node");

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** A pod with every namespace of the node that a pod can have. */
const node_ = { network: "NODE", pid: "NODE", ipc: "NODE" } as const;

test("CVE-2020-15257: no socket of the runtime has an abstract name that a pod of the node's network could reach", async () => {
  await using pod = await TestPod.withNamespaces(daemon, node_);
  const id = await pod.start("exec sleep 1000");
  const { stdout } = await execSync(daemon, id, "cat", "/proc/net/unix");
  assert.match(stdout, /launcher\.sock/);
  assert.doesNotMatch(stdout, / @/);
});

test("CVE-2021-41103, CVE-2024-25621: what others may enter of the runtime's folders is /run/berth, and nothing in it", async () => {
  await using pod = await TestPod.run(daemon);
  await pod.start("exec sleep 1000");
  const found = await world.must(
    "find",
    ...["/run/berth", join(world.folder, "root"), "-maxdepth", "1", "-perm", "/0077", "-printf", "%m %p\n"],
  );
  assert.equal(found, "711 /run/berth\n");
  assert.equal(await world.must("stat", "-c", "%a %U %G", daemon.socket), "660 root root\n");
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--", "ls"];
  for (const path of [
    "/run/berth",
    "/run/berth/pods",
    "/run/berth/containers",
    join(world.folder, "root/layers"),
  ]) {
    assert.notEqual((await world.run("setpriv", [...nobody, path])).status, 0, path);
  }
});

test("CVE-2021-41103: folders that were opened up are closed again at the start", async () => {
  const root = join(world.folder, "root");
  await world.must("chmod", "-R", "a+rx", "/run/berth", root);
  await daemon.end("SIGTERM");
  await daemon.restart();
  const found = await world.must(
    "find",
    "/run/berth",
    root,
    "-maxdepth",
    "1",
    "-type",
    "d",
    "-perm",
    "/0066",
  );
  assert.equal(found, "");
});

test("CVE-2021-20206: a CNI plugin's type that is a path runs nothing", async () => {
  const evil = await world.file("evil", `#!/bin/sh\ntouch ${world.folder}/was-run\n`);
  await world.must("chmod", "755", evil);
  const conf = join(world.folder, "cni/00-evil.conflist");
  for (const type of [`${"../".repeat(20)}${evil}`, evil, "./evil", "bin/evil", "..", "evil\0"]) {
    await writeFile(conf, JSON.stringify({ cniVersion: "1.0.0", name: "evil", plugins: [{ type }] }));
    const config = podConfig(daemon);
    const pod = await daemon.runtime.RunPodSandbox({ config }).catch(() => undefined);
    if (pod !== undefined) await daemon.runtime.RemovePodSandbox(pod);
    assert.notEqual((await world.run("ls", [`${world.folder}/was-run`])).status, 0, type);
  }
  await world.must("rm", conf);
});

test("CVE-2024-37168: messages beyond the limit are refused, and not kept", async () => {
  const resident = async (): Promise<number> => {
    const status = await world.must("cat", `/proc/${await daemon.pid()}/status`);
    return Number(/VmRSS:\s*(\d+)/.exec(status)?.[1]) * 1024;
  };
  const huge = podConfig(daemon, { annotations: { huge: "x".repeat(64 * 1024 * 1024) } });
  const before = await resident();
  for (let round = 0; round < 4; round++) {
    await assert.rejects(daemon.runtime.RunPodSandbox({ config: huge }), { code: 8 });
  }
  assert.ok((await resident()) - before < 128 * 1024 * 1024);
});

test("stream tokens: a request's address opens it once, and says nothing of the others", async () => {
  await using pod = await TestPod.run(daemon);
  const container_id = await pod.start("exec sleep 1000");
  const ask = async (): Promise<URL> => {
    const { url } = await daemon.runtime.Exec({ container_id, cmd: ["true"], stdout: true });
    return new URL(url);
  };
  const [one, two] = [await ask(), await ask()];
  assert.match(one.pathname, /^\/exec\/[\w-]{22}$/);
  assert.notEqual(one.pathname, two.pathname);
  assert.equal(one.hostname, "127.0.0.1");
});

test("secrets: no credential of a request reaches the log, the jobs or the status", async () => {
  const secret = "hunter2-hunter2";
  const auth = { username: "ann", password: secret, registry_token: secret, identity_token: "" };
  for (const image of ["127.0.0.1:9/x:1", `ann:${secret}@127.0.0.1:9/x:1`]) {
    await assert.rejects(daemon.images.PullImage({ image: { image }, auth }));
  }
  const token = Buffer.from(`ann:${secret}`).toString("base64");
  await assert.rejects(
    daemon.images.PullImage({ image: { image: "127.0.0.1:9/y:1" }, auth: { auth: token } }),
  );
  const { info } = await daemon.runtime.Status({ verbose: true });
  const jobs = await daemon.admin.ListJobs({});
  for (const text of [JSON.stringify(info), JSON.stringify(jobs), daemon.log]) {
    assert.ok(!text.includes(secret) && !text.includes(token), text.slice(0, 2000));
  }
});

test("sockets: one at a path of more than 108 bytes is served, found, and refused to a second daemon", async () => {
  const folder = join(world.folder, "d".repeat(200));
  const socket = join(folder, "berth.sock");
  await mkdir(folder);
  const flags = (name: string): readonly string[] => [
    ...[join(project, "dist/main.js"), "--socket", socket, "--root", join(world.folder, `root-${name}`)],
    ...["--state", join(folder, `state-${name}`), "--cgroup-parent", `${world.cgroupParent}/${name}`],
    ...["--cni-conf-dir", join(world.folder, "cni")],
  ];
  const berth = (...args: readonly string[]): Promise<{ status: number; stdout: string; stderr: string }> =>
    world.run(node, [join(project, "dist/cli/main.js"), "--socket", socket, ...args]);
  const other = world.spawn(node, flags("one"), { stdio: "ignore" });
  const ended = once(other, "exit");
  try {
    await eventually(
      async () => ((await berth("pods")).status === 0 ? true : undefined),
      "the daemon to answer",
    );
    const second = await world.run(node, flags("two"));
    assert.equal(second.status, 1);
    assert.match(second.stderr, /is served by another process/);
  } finally {
    const { stdout } = await berth("info", "--json");
    await world.must("kill", String((JSON.parse(stdout) as { pid: number }).pid));
    await ended;
  }
  const silent = await berth("pods");
  assert.match(silent.stderr, /no daemon at .*no such socket/);
});
