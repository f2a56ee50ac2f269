import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import {
  imageFormats,
  pushImage,
  serveInWorld,
  startDockerRegistry,
  withoutDockerRegistry,
} from "../harness/docker-registry.ts";
import { leftovers } from "../harness/leftovers.ts";
import {
  execSync,
  logOf,
  podConfig,
  runPod,
  startContainer,
  statusOf,
  untilExited,
} from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { gzipLayer } from "../images/registry.ts";

/** A base layer with a shell, and a layer above it with a user and a file. */
async function testLayers() {
  const applets = ["sh", "cat", "id", "sleep", "echo"].map((name) => ({
    name: `bin/${name}`,
    type: "2",
    linkName: "busybox",
  }));
  return [
    gzipLayer([
      { name: "bin/", type: "5", mode: 0o755 },
      { name: "bin/busybox", data: await readFile("/bin/busybox"), mode: 0o755 },
      ...applets,
    ]),
    gzipLayer([
      { name: "etc/", type: "5", mode: 0o755 },
      { name: "etc/passwd", data: "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/srv:/bin/sh\n", mode: 0o644 },
      { name: "etc/group", data: "root:x:0:\nweb:x:1000:\nlogs:x:2000:web\n", mode: 0o644 },
      { name: "srv/", type: "5", mode: 0o755 },
      { name: "srv/greeting", data: "from the registry\n", mode: 0o644 },
    ]),
  ];
}

const imageConfig = {
  Entrypoint: ["/bin/sh", "-c"],
  Cmd: ['id -u; id -G; cat greeting; echo "$COLOUR"'],
  Env: ["PATH=/bin", "COLOUR=teal"],
  User: "web",
  WorkingDir: "/srv",
  StopSignal: "SIGUSR1",
};

test(
  "registry: images pulled from Debian's registry run as their config says, and go without a trace",
  { skip: withoutDockerRegistry, timeout: 120_000 },
  async () => {
    await using world = await World.create();
    const folder = join(world.folder, "registry");
    const formats = Object.keys(imageFormats) as (keyof typeof imageFormats)[];
    const pushed = new Map<string, Awaited<ReturnType<typeof pushImage>>>();
    {
      await using registry = await startDockerRegistry(folder);
      for (const format of formats) {
        const name = { repository: "team/app", tag: format };
        pushed.set(format, await pushImage(registry.host, name, format, await testLayers(), imageConfig));
      }
    }
    const host = await serveInWorld(world, folder);
    await using daemon = await TestDaemon.start(world);
    // The first pod makes the bridge, which stays.
    await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: await runPod(daemon, podConfig(daemon)) });
    const before = await leftovers(world);
    for (const format of formats) {
      const image = { image: `${host}/team/app:${format}` };
      const { image_ref } = await daemon.images.PullImage({ image });
      assert.equal(image_ref, pushed.get(format)?.config);
      const { image: status } = await daemon.images.ImageStatus({ image: { image: image_ref } });
      assert.equal(status?.id, image_ref);
      assert.deepEqual(status.repo_tags, [image.image]);
      assert.deepEqual(status.repo_digests, [`${host}/team/app@${pushed.get(format)?.manifest ?? ""}`]);
      assert.equal(status.username, "web");
      assert.notEqual(status.size, "0");

      const config = podConfig(daemon);
      const podId = await runPod(daemon, config);
      const container = { image: { image: image_ref }, linux: {}, log_path: "app.log" };
      const short = { ...container, metadata: { name: "short", attempt: 0 } };
      const id = await startContainer(daemon, podId, config, short);
      const ended = await untilExited(daemon, id);
      assert.equal(ended.exit_code, 0, ended.message);
      assert.equal(ended.image_id, image_ref);
      assert.equal(ended.stop_signal, "SIGUSR1");
      assert.deepEqual(await logOf(daemon, id), [
        "stdout F 1000",
        "stdout F 1000 2000",
        "stdout F from the registry",
        "stdout F teal",
      ]);
      const long = {
        ...container,
        metadata: { name: "long", attempt: 0 },
        args: ["sleep 1000"],
        envs: [{ key: "COLOUR", value: Buffer.from("red") }],
        log_path: "long.log",
      };
      const running = await startContainer(daemon, podId, config, long);
      assert.equal(
        (await execSync(daemon, running, "sh", "-c", "echo $COLOUR; id -u")).stdout,
        "red\n1000\n",
      );
      await daemon.runtime.StopContainer({ container_id: running, timeout: 1 });
      assert.equal((await statusOf(daemon, running)).state, "CONTAINER_EXITED");
      await daemon.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
      await daemon.images.RemoveImage({ image: { image: image_ref } });
      const { image: gone } = await daemon.images.ImageStatus({ image });
      assert.equal(gone, null);
    }
    const { images } = await daemon.images.ListImages({});
    assert.deepEqual(images, []);
    await assert.rejects(daemon.images.PullImage({ image: { image: `${host}/team/app:none` } }), {
      code: 5,
      message: /team\/app:none/,
    });
    assert.deepEqual(await leftovers(world), before);
  },
);
