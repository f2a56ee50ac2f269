import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Mount } from "../../src/cri/types/runtime/v1/Mount.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importLayers } from "../harness/images.ts";
import {
  pushArtifact,
  serveInWorld,
  startDockerRegistry,
  withoutDockerRegistry,
} from "../harness/docker-registry.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

/** One layer; three layers, of which the upper ones change what is below; and one without any. */
const single = "berth.test/single:1";
const layered = "berth.test/layered:1";
const bare = "berth.test/bare:1";

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
  await importLayers(daemon, single, [
    [
      { name: "file", data: "of one layer\n" },
      { name: "sub/", type: "5" },
      { name: "sub/below", data: "below\n", uid: 1000, gid: 1000 },
    ],
  ]);
  await importLayers(daemon, layered, [
    [
      ...(await busyboxEntries()),
      { name: "data/", type: "5" },
      { name: "data/old", data: "old\n" },
      { name: "data/gone", data: "gone\n" },
    ],
    [{ name: "data/old", data: "new\n" }, { name: "data/.wh.gone" }, { name: "root-owned", data: "r\n" }],
    [
      { name: "links/", type: "5" },
      { name: "links/inside", type: "2", linkName: "/data" },
      { name: "links/host", type: "2", linkName: "/etc" },
      { name: "links/climbing", type: "2", linkName: "../../../../../../etc" },
      { name: "links/proc", type: "2", linkName: "/proc/self/root" },
      { name: "setuid", data: "#!/bin/sh\n", mode: 0o4755 },
      { name: "null", type: "3", major: 1, minor: 3, mode: 0o666 },
    ],
  ]);
  await importLayers(daemon, bare, []);
});

after(() => bed.disposeAsync());

/** The mounts of a container that shows an image at /m. */
function showing(image: string, change: Mount = {}): { mounts: Mount[] } {
  return { mounts: [{ container_path: "/m", image: { image }, readonly: true, ...change }] };
}

async function imageId(image: string): Promise<string> {
  return (await daemon.images.ImageStatus({ image: { image } })).image?.id ?? "";
}

for (const [what, image, script, expected] of [
  ["of one layer", single, "cat /m/file /m/sub/below", "of one layer\nbelow\n"],
  ["of several layers is what they come to", layered, "cat /m/data/*; ls /m/data", "new\nold\n"],
  ["without layers is empty", bare, "ls -A /m", ""],
] as const) {
  test(`image volumes: an image ${what}`, async () => {
    await using pod = await TestPod.run(daemon);
    assert.equal(await pod.output(script, showing(image)), expected);
  });
}

test("image volumes: programs of it run; nothing of it can be written, nor a device of it used", async () => {
  await using pod = await TestPod.run(daemon, { linux: { security_context: { privileged: true } } });
  const script = [
    "/m/bin/busybox echo runs",
    "for path in /m/x /m/data/old /m/data; do touch $path 2>/dev/null || echo refused; done",
    "mount -o remount,rw /m 2>/dev/null; touch /m/x 2>/dev/null || echo still refused",
    "echo x 2>/dev/null >/m/null || echo no device",
    "grep ' /m ' /proc/mounts | grep -o 'ro,nosuid,nodev'",
  ].join("\n");
  assert.equal(
    await pod.output(script, showing(layered)),
    "runs\nrefused\nrefused\nrefused\nstill refused\nno device\nro,nosuid,nodev\n",
  );
});

test("image volumes: the status tells the image's id", async () => {
  await using pod = await TestPod.run(daemon);
  const id = await pod.create("true", showing(layered, { image_sub_path: "data" }));
  const [mount] = (await statusOf(daemon, id)).mounts;
  assert.equal(mount?.image?.image, layered);
  assert.equal(mount.image.image_ref, await imageId(layered));
  assert.equal(mount.image_sub_path, "data");
  assert.equal(mount.readonly, true);
});

for (const [path, expected] of [
  ["data", "old\n"],
  ["data/", "old\n"],
  ["./data/.", "old\n"],
  ["links/inside", "old\n"],
  // Inside the image these are its own /etc, which is empty.
  ["links/host", ""],
  ["links/climbing", ""],
] as const) {
  test(`image volumes: sub path ${path} is looked up inside the image`, async () => {
    await using pod = await TestPod.run(daemon);
    assert.equal(await pod.output("ls -A /m", showing(layered, { image_sub_path: path })), expected);
  });
}

test("image volumes: a sub path of one layer", async () => {
  await using pod = await TestPod.run(daemon);
  assert.equal(await pod.output("ls /m", showing(single, { image_sub_path: "sub" })), "below\n");
});

for (const [path, why] of [
  ["absent", /absent is not in the image/],
  ["data/old", /data\/old is not a directory/],
  ["data/old/x", /data\/old\/x is not a directory/],
  ["links/proc", /links\/proc is not in the image/],
] as const) {
  test(`image volumes: sub path ${path} fails with the kubelet's word for it, and leaves nothing`, async () => {
    await using pod = await TestPod.run(daemon);
    const before = await leftovers(world);
    await assert.rejects(pod.create("true", showing(layered, { image_sub_path: path })), (error) => {
      const { details } = error as { readonly details: string };
      return details.startsWith("ImageVolumeMountFailed: mount /m: image_sub_path") && why.test(details);
    });
    assert.deepEqual(await leftovers(world), before);
  });
}

for (const [what, mount, details] of [
  ["read-write", { readonly: false }, /config\.mounts\[0\]\.readonly/],
  ["Bidirectional", { propagation: "PROPAGATION_BIDIRECTIONAL" }, /config\.mounts\[0\]\.propagation/],
  ["with a host path", { host_path: "/tmp" }, /both image and host_path/],
  ["with a sub path that climbs", { image_sub_path: "a/../../b" }, /image_sub_path: not a path inside/],
  ["with an absolute sub path", { image_sub_path: "/data" }, /image_sub_path: not a path inside/],
] as const) {
  test(`image volumes: one ${what} is refused`, async () => {
    await using pod = await TestPod.run(daemon);
    await assert.rejects(pod.create("true", showing(layered, mount)), { code: 3, details });
  });
}

test("image volumes: an image that is not in the store fails with the kubelet's word for it", async () => {
  await using pod = await TestPod.run(daemon);
  await assert.rejects(pod.create("true", showing("berth.test/absent:1")), {
    code: 5,
    details: /^ImageVolumeMountFailed: mount \/m: image berth\.test\/absent:1 not found/,
  });
});

test("image volumes: two at one place, the later one is seen; several side by side", async () => {
  await using pod = await TestPod.run(daemon);
  const [first, second] = [showing(single), showing(layered)].map(({ mounts }) => mounts);
  assert.equal(
    await pod.output("ls /m/data /n", {
      mounts: [...(first ?? []), ...(second ?? []), { ...first?.[0], container_path: "/n" }],
    }),
    "/m/data:\nold\n\n/n:\nfile\nsub\n",
  );
});

test("image volumes: in a user namespace the image's root is the pod's", async () => {
  const mapping = [{ host_id: 200_000, container_id: 0, length: 65_536 }];
  await using pod = await TestPod.run(daemon, {
    linux: {
      security_context: {
        namespace_options: { userns_options: { mode: "POD", uids: mapping, gids: mapping } },
      },
    },
  });
  const owners = "stat -c '%u:%g' /m";
  assert.equal(await pod.output(`${owners} /m/root-owned`, showing(layered)), "0:0\n0:0\n");
  assert.equal(
    await pod.output(`${owners}/below`, showing(single, { image_sub_path: "sub" })),
    "1000:1000\n",
  );
});

test("image volumes: the layers stay while a container has them, also across a restart, and go with it", async () => {
  const image = "berth.test/short-lived:1";
  const layers = join(world.folder, "root/layers");
  const before = (await readdir(layers)).toSorted();
  const clean = await leftovers(world);
  await importLayers(daemon, image, [[{ name: "a", data: "1\n" }], [{ name: "b", data: "2\n" }]]);
  const id = await imageId(image);
  {
    await using pod = await TestPod.run(daemon);
    const container = await pod.start("exec sleep 1000", showing(id));
    await daemon.images.RemoveImage({ image: { image: id } });
    assert.equal(await imageId(image), "");
    await daemon.end("SIGKILL");
    await daemon.restart();
    assert.equal((await readdir(layers)).length, before.length + 2);
    assert.equal((await execSync(daemon, container, "cat", "/m/a", "/m/b")).stdout, "1\n2\n");
    assert.equal((await statusOf(daemon, container)).mounts[0]?.image?.image_ref, id);
  }
  assert.deepEqual((await readdir(layers)).toSorted(), before);
  assert.deepEqual(await leftovers(world), clean);
});

test(
  "image volumes: an artifact of a registry is mounted and not run",
  { skip: withoutDockerRegistry, timeout: 60_000 },
  async () => {
    const folder = join(world.folder, "registry");
    const name = { repository: "models/small", tag: "1" };
    const files = {
      "weights/part-1": Buffer.from("1\n"),
      "weights/part-2": Buffer.from("2\n"),
      card: Buffer.from("c\n"),
    };
    {
      await using registry = await startDockerRegistry(folder);
      await pushArtifact(registry.host, name, files);
    }
    const reference = `${await serveInWorld(world, folder)}/${name.repository}:${name.tag}`;
    const { image_ref } = await daemon.images.PullImage({ image: { image: reference } });
    const { images } = await daemon.images.ListImages({});
    assert.deepEqual(images.find(({ id }) => id === image_ref)?.repo_tags, [reference]);
    const { info } = await daemon.images.ImageStatus({ image: { image: image_ref }, verbose: true });
    assert.match(info["info"] ?? "", /application\/vnd\.test\.model/);
    {
      await using pod = await TestPod.run(daemon);
      assert.equal(await pod.output("cat /m/weights/* /m/card", showing(image_ref)), "1\n2\nc\n");
      assert.equal(
        await pod.output("ls /m", showing(reference, { image_sub_path: "weights" })),
        "part-1\npart-2\n",
      );
      await assert.rejects(pod.create("true", { image: { image: reference } }), {
        code: 9,
        details:
          /is an artifact of type application\/vnd\.test\.model: it can be mounted as a volume, not run/,
      });
    }
    await daemon.images.RemoveImage({ image: { image: image_ref } });
    assert.equal(await imageId(reference), "");
  },
);
