import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

/** What a reboot takes: every process of Berth, its part of /run, its cgroups; and the kernel has a new boot id. */
async function reboot(world: World): Promise<void> {
  const script = [
    "ps -eo pid=,comm= | while read pid name; do case $name in berth-*) kill -9 $pid;; esac; done",
    "sleep 0.5",
    "grep -o ' /run/[^ ]*' /proc/self/mountinfo | sort -r | while read path; do umount -l $path; done 2>/dev/null",
    "rm -rf /run/berth /run/netns; mkdir /run/netns",
    "ip -o link | sed 's/^[0-9]*: //; s/[@:].*//' | grep -E '^(veth|berth0)' | while read link; do ip link del $link; done 2>/dev/null",
    `find /sys/fs/cgroup -depth -type d -path '*${world.cgroupParent}/*' -exec rmdir {} +`,
    `mount --bind ${await world.file("boot-id", `${randomUUID()}\n`)} /proc/sys/kernel/random/boot_id`,
  ];
  await world.must("sh", "-c", script.join("\n"));
}

test("reboot: pods are not ready, containers exited, both are listed and removed, images are kept", async () => {
  await using world = await World.create();
  await using daemon = await TestDaemon.start(world);
  await makeTestImage(daemon);
  const pod = await TestPod.run(daemon, { labels: { kept: "yes" } });
  const shared = await TestPod.withNamespaces(daemon, { pid: "POD" });
  const running = await pod.start("exec sleep 1000");
  const created = await shared.create("true");
  const ended = await pod.finish("exit 4");
  const startedAt = (await statusOf(daemon, running)).started_at;
  await daemon.end("SIGKILL");
  await reboot(world);
  await daemon.restart();

  for (const { id } of [pod, shared]) {
    const { status } = await daemon.runtime.PodSandboxStatus({ pod_sandbox_id: id });
    assert.equal(status?.state, "SANDBOX_NOTREADY");
  }
  for (const id of [running, created]) {
    const status = await statusOf(daemon, id);
    assert.equal(status.state, "CONTAINER_EXITED");
    assert.equal(status.exit_code, 255);
    assert.match(status.message, /reboot/);
  }
  assert.equal((await statusOf(daemon, running)).started_at, startedAt);
  assert.deepEqual(await statusOf(daemon, ended.id), ended.status);

  await using fresh = await TestPod.run(daemon);
  const clean = await leftovers(world);
  assert.equal(await fresh.output("echo again"), "again\n");
  for (const one of [pod, shared]) {
    await daemon.runtime.StopPodSandbox({ pod_sandbox_id: one.id });
    await one[Symbol.asyncDispose]();
  }
  assert.deepEqual(
    (await daemon.runtime.ListPodSandbox({})).items.map(({ id }) => id),
    [fresh.id],
  );
  const after = await leftovers(world);
  assert.deepEqual(
    [after.mounts, after.links, after.namespaces],
    [clean.mounts, clean.links, clean.namespaces],
  );
});
