import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { TestDaemon, testConflist } from "../harness/daemon.ts";
import { busyboxEntries, importImage } from "../harness/images.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, podConfig, runPod } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

test("bad host: without luajit the daemon names it and ends", async () => {
  await using world = await World.create();
  const { status, stderr } = await TestDaemon.refuse(world, ["--luajit", "/nonexistent/luajit"]);
  assert.equal(status, 1);
  assert.match(stderr, /^berthd: .*luajit \(\/nonexistent\/luajit.*Debian package luajit/m);
});

test("bad host: without libseccomp the daemon names it and ends", async () => {
  await using world = await World.create();
  const found = (
    await world.must(
      "sh",
      "-c",
      "ls /lib/*/libseccomp.so.2* /usr/lib/*/libseccomp.so.2* | xargs -n1 realpath | sort -u",
    )
  ).trim();
  const empty = await world.file("no-library", "");
  for (const library of found.split("\n")) await world.must("mount", "--bind", empty, library);
  const { status, stderr } = await TestDaemon.refuse(world);
  for (const library of found.split("\n")) await world.must("umount", library);
  assert.equal(status, 1);
  assert.match(stderr, /^berthd: .*libseccomp.*Debian package libseccomp2/m);
});

test("bad host: wrong flags and values are named, with the code of wrong usage", async () => {
  await using world = await World.create();
  for (const [flags, message] of [
    [["--no-such-flag"], /--no-such-flag/],
    [["--root", "relative"], /root.*relative/],
    [["--cni-timeout-ms", "soon"], /cni\.timeout_ms.*soon/],
    [["--config", "/nonexistent.toml"], /\/nonexistent\.toml/],
    [["--socket-group", "no-such-group"], /no-such-group/],
  ] as const) {
    const { status, stderr } = await TestDaemon.refuse(world, flags);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
  }
});

test("bad host: without a network list only pods of the node's network run", async () => {
  await using world = await World.create();
  await using daemon = await TestDaemon.start(world, { conflist: "none" });
  await makeTestImage(daemon);
  const clean = await leftovers(world);
  const condition = async () => {
    const { status } = await daemon.runtime.Status({});
    return status?.conditions.find(({ type }) => type === "NetworkReady");
  };
  const first = await condition();
  assert.equal(first?.status, false);
  assert.notEqual(first.reason, "");
  assert.ok(first.message.includes(join(world.folder, "cni")), first.message);
  await assert.rejects(runPod(daemon, podConfig(daemon)), { code: 9, details: /network/ });
  assert.deepEqual(await leftovers(world), clean);
  assert.deepEqual((await daemon.runtime.ListPodSandbox({})).items, []);
  {
    await using pod = await TestPod.withNamespaces(daemon, { pid: "CONTAINER", network: "NODE" });
    assert.equal(await pod.output("echo works"), "works\n");
  }
  assert.deepEqual(await leftovers(world), clean);
  await writeFile(join(world.folder, "cni/10-late.conflist"), testConflist);
  await eventually(
    async () => ((await condition())?.status === true ? true : undefined),
    "the network to be ready",
  );
  await using pod = await TestPod.run(daemon);
  assert.equal(await pod.output("echo works"), "works\n");
});

test("bad host: a CNI plugin that is missing is named, and the pod leaves nothing", async () => {
  await using world = await World.create();
  const conflist = JSON.stringify({ cniVersion: "1.0.0", name: "n", plugins: [{ type: "no-such-plugin" }] });
  await using daemon = await TestDaemon.start(world, { conflist });
  const clean = await leftovers(world);
  await assert.rejects(runPod(daemon, podConfig(daemon)), /no-such-plugin/);
  assert.deepEqual(await leftovers(world), clean);
});

test("bad host: a CNI plugin that fails after its work is undone", async () => {
  await using world = await World.create();
  const bin = join(world.folder, "bin");
  await mkdir(bin);
  const plugin =
    '#!/bin/sh\n[ "$CNI_COMMAND" != ADD ] || { echo \'{"code":100,"msg":"told to fail"}\'; exit 1; }\n';
  await writeFile(join(bin, "failing"), plugin, { mode: 0o755 });
  const list = JSON.parse(testConflist) as { plugins: object[] };
  list.plugins.push({ type: "failing" });
  await using daemon = await TestDaemon.start(world, {
    conflist: JSON.stringify(list),
    flags: ["--cni-bin-dirs", bin],
  });
  await assert.rejects(runPod(daemon, podConfig(daemon)), /told to fail/);
  const clean = await leftovers(world);
  await assert.rejects(runPod(daemon, podConfig(daemon)), /told to fail/);
  assert.deepEqual(await leftovers(world), clean);
  assert.deepEqual(clean.namespaces, ["/run/berth/pins:", "/run/netns:"]);
});

test("bad host: a full disk fails with words, leaves nothing, and work goes on when there is room", async () => {
  await using world = await World.create();
  const root = join(world.folder, "root");
  await mkdir(root);
  await world.must("mount", "-t", "tmpfs", "-o", "size=48m", "small", root);
  await using daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
  const clean = await leftovers(world);
  const fill = () => world.run("dd", ["if=/dev/zero", `of=${join(root, "ballast")}`, "bs=4096"]);
  const annotations = { long: "x".repeat(20_000) };
  {
    await using pod = await TestPod.run(daemon);
    const removed = await pod.start("exec sleep 1000");
    const kept = await pod.start("exec sleep 1000");
    await fill();
    const big = [...(await busyboxEntries()), { name: "big", data: Buffer.alloc(12_000_000, 7) }];
    await assert.rejects(importImage(daemon, "berth.test/big:latest", big), {
      code: 8,
      details: /no space left|disk/i,
    });
    assert.deepEqual((await daemon.images.ListImages({})).images.length, 1);
    // What frees a disk works while there is no room.
    await fill();
    await daemon.runtime.RemoveContainer({ container_id: removed });
    await using other = await TestPod.run(daemon, { annotations });
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: other.id });
    await world.must("rm", join(root, "ballast"));

    // What was recorded after the disk was full is not lost with the daemon.
    const later = await Promise.all(Array.from({ length: 6 }, () => TestPod.run(daemon, { annotations })));
    assert.equal(await pod.output("echo room"), "room\n");
    const list = async () =>
      (await daemon.runtime.ListPodSandbox({})).items.map(({ id, state }) => `${id} ${state}`).toSorted();
    const before = await list();
    assert.equal(before.length, 8);
    await daemon.end("SIGKILL");
    await daemon.restart();
    assert.deepEqual(await list(), before);
    assert.equal((await execSync(daemon, kept, "echo", "kept")).stdout, "kept\n");
    for (const one of later) await one[Symbol.asyncDispose]();
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("bad host: a writable layer that fails while the rest is still being gathered fails that request alone", async () => {
  await using world = await World.create();
  await using daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  await using pod = await TestPod.run(daemon);
  const folder = join(world.folder, "root/containers");
  await rename(folder, `${folder}.away`);
  await writeFile(folder, "");
  // A profile nobody has used yet: reading and compiling it takes longer than it takes the layer to fail.
  const localhost_ref = await world.file("fresh.json", JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW" }));
  const security = { seccomp: { profile_type: "Localhost", localhost_ref } } as const;
  await assert.rejects(pod.create("true", { security }), /not a directory|ENOTDIR/);
  await rm(folder);
  await rename(`${folder}.away`, folder);
  assert.equal(await pod.output("echo alive", { security }), "alive\n");
});
