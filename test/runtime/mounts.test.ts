import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Mount } from "../../src/cri/types/runtime/v1/Mount.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage, statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import { leftovers } from "../harness/leftovers.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  await makeTestImage(daemon);
});

after(() => bed.disposeAsync());

/** A folder of the node for one test. */
async function nodeFolder(name: string): Promise<string> {
  const path = join(world.folder, name);
  await mkdir(path, { recursive: true });
  return path;
}

/** A container that waits, in a privileged pod: what is Bidirectional needs one. */
const privilegedPod = {
  linux: { security_context: { privileged: true, namespace_options: { pid: "CONTAINER" } } },
} as const;

test("mounts: read-write and read-only", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = await nodeFolder("access");
  const at = (readonly: boolean): { mounts: Mount[] } => ({
    mounts: [{ container_path: "/m", host_path, readonly }],
  });
  await pod.output("echo from inside > /m/file", at(false));
  assert.equal(await readFile(join(host_path, "file"), "utf8"), "from inside\n");
  assert.equal(
    await pod.output("cat /m/file; touch /m/x 2>/dev/null || echo refused", at(true)),
    "from inside\nrefused\n",
  );
});

test("mounts: read-only is of the mount alone, recursively where that is asked for", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = await nodeFolder("recursive");
  await mkdir(join(host_path, "sub"));
  await world.must("mount", "-t", "tmpfs", "below", join(host_path, "sub"));
  const script = "touch /m/x 2>/dev/null || echo refused; touch /m/sub/x 2>/dev/null || echo refused below";
  const mount = { container_path: "/m", host_path, readonly: true };
  assert.equal(await pod.output(script, { mounts: [mount] }), "refused\n");
  assert.equal(
    await pod.output(script, { mounts: [{ ...mount, recursive_read_only: true }] }),
    "refused\nrefused below\n",
  );
  await world.must("umount", join(host_path, "sub"));
});

for (const [what, change] of [
  ["that is not read-only", { readonly: false }],
  ["with propagation", { readonly: true, propagation: "PROPAGATION_HOST_TO_CONTAINER" }],
] as const) {
  test(`mounts: recursive read-only ${what} is refused with the kubelet's word for it`, async () => {
    await using pod = await TestPod.run(daemon);
    const host_path = await nodeFolder("rro");
    const mounts = [{ container_path: "/m", host_path, recursive_read_only: true, ...change }];
    await assert.rejects(pod.create("true", { mounts }), { code: 3, details: /^RROUnsupported/ });
  });
}

test("mounts: a mount made in a Bidirectional container is seen by the node and a HostToContainer one", async () => {
  await using pod = await TestPod.run(daemon, privilegedPod);
  const host_path = await nodeFolder("propagated");
  const container = (propagation: Mount["propagation"], privileged = false): Promise<string> =>
    pod.start("exec sleep 1000", {
      mounts: [{ container_path: "/m", host_path, ...(propagation === undefined ? {} : { propagation }) }],
      security: { privileged },
    });
  const maker = await container("PROPAGATION_BIDIRECTIONAL", true);
  const follower = await container("PROPAGATION_HOST_TO_CONTAINER");
  const alone = await container("PROPAGATION_PRIVATE");
  const made = await execSync(
    daemon,
    maker,
    "sh",
    "-c",
    "mkdir /m/sub; mount -t tmpfs made /m/sub && touch /m/sub/file",
  );
  assert.equal(made.code, 0, made.stderr);
  const seenBy = async (id: string): Promise<string> => (await execSync(daemon, id, "ls", "/m/sub")).stdout;
  assert.equal(await world.must("ls", join(host_path, "sub")), "file\n");
  assert.equal(await seenBy(follower), "file\n");
  assert.equal(await seenBy(alone), "");

  await world.must("umount", join(host_path, "sub"));
  assert.equal(await seenBy(maker), "");
  assert.equal(await seenBy(follower), "");

  await world.must("mount", "-t", "tmpfs", "by-node", join(host_path, "sub"));
  await world.must("touch", join(host_path, "sub/of-node"));
  assert.equal(await seenBy(maker), "of-node\n");
  assert.equal(await seenBy(follower), "of-node\n");
  assert.equal(await seenBy(alone), "");
  // What a HostToContainer container mounts stays its own.
  await execSync(daemon, follower, "umount", "/m/sub");
  assert.equal(await world.must("ls", join(host_path, "sub")), "of-node\n");
  await world.must("umount", join(host_path, "sub"));
});

test("mounts: what a Bidirectional container mounted outlives it, nothing else of it does", async () => {
  const clean = await leftovers(world);
  const host_path = await nodeFolder("outlives");
  {
    await using pod = await TestPod.run(daemon, privilegedPod);
    await pod.output("mkdir /m/sub /tmp/own; mount -t tmpfs made /m/sub; mount -t tmpfs own /tmp/own", {
      mounts: [{ container_path: "/m", host_path, propagation: "PROPAGATION_BIDIRECTIONAL" }],
      security: { privileged: true },
    });
  }
  await world.must("umount", join(host_path, "sub"));
  assert.deepEqual(await leftovers(world), clean);
});

test("mounts: the node sees nothing of a container's own mounts", async () => {
  await using pod = await TestPod.run(daemon);
  const before = await world.must("cat", "/proc/self/mountinfo");
  await pod.start("exec sleep 1000", {
    mounts: [{ container_path: "/m", host_path: await nodeFolder("unseen") }],
  });
  assert.equal(await world.must("cat", "/proc/self/mountinfo"), before);
});

test("mounts: Bidirectional below a private mount of the node is refused by name", async () => {
  await using pod = await TestPod.run(daemon, privilegedPod);
  const host_path = await nodeFolder("private");
  await world.must("mount", "-t", "tmpfs", "private", host_path);
  await world.must("mount", "--make-private", host_path);
  const making = pod.start("true", {
    mounts: [{ container_path: "/m", host_path, propagation: "PROPAGATION_BIDIRECTIONAL" }],
    security: { privileged: true },
  });
  await assert.rejects(making, new RegExp(host_path));
  await world.must("umount", host_path);
});

test("mounts: symlinks of the node's path are followed", async () => {
  await using pod = await TestPod.run(daemon);
  const real = await nodeFolder("real");
  await writeFile(join(real, "file"), "found\n");
  await symlink("real", join(world.folder, "link"));
  const mounts = [{ container_path: "/m", host_path: join(world.folder, "link") }];
  assert.equal(await pod.output("cat /m/file", { mounts }), "found\n");
});

test("mounts: symlinks of the container's path stay inside", async () => {
  await using pod = await TestPod.run(daemon);
  const volume = await nodeFolder("volume");
  const target = await nodeFolder("target");
  await symlink(target, join(volume, "out"));
  await symlink("/../../../../tmp", join(volume, "up"));
  const mounts = [
    { container_path: "/v", host_path: volume },
    { container_path: "/v/out/in", host_path: await nodeFolder("payload") },
  ];
  await pod.finish("true", { mounts }).catch(() => undefined);
  assert.equal(existsSync(join(target, "in")), false);
});

test("mounts: a folder that the node lacks is made", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = join(world.folder, "made/by/berth");
  await pod.output("touch /m/file", { mounts: [{ container_path: "/m", host_path }] });
  assert.equal(existsSync(join(host_path, "file")), true);
});

test("mounts: a file over a file, over nothing, and deep below", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = await world.file("single", "one file\n");
  const mounts = [
    { container_path: "/etc/hostname", host_path },
    { container_path: "/new/path/file", host_path, readonly: true },
  ];
  const script = "cat /etc/hostname /new/path/file; echo more >> /etc/hostname; echo no >> /new/path/file";
  const { stdout } = await pod.finish(script, { mounts });
  assert.equal(stdout, "one file\none file\n");
  assert.equal(await readFile(host_path, "utf8"), "one file\nmore\n");
});

test("mounts: a termination log is written by the container and named by its status", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = await world.file("termination-log", "");
  const mounts = [{ container_path: "/dev/termination-log", host_path }];
  const { status } = await pod.finish("echo why it ended > /dev/termination-log; exit 1", { mounts });
  assert.equal(await readFile(host_path, "utf8"), "why it ended\n");
  assert.deepEqual(
    status.mounts.map((mount) => [mount.container_path, mount.host_path]),
    [["/dev/termination-log", host_path]],
  );
});

test("mounts: one below another, in whatever order they are asked for", async () => {
  await using pod = await TestPod.run(daemon);
  const [outer, inner] = [await nodeFolder("outer"), await nodeFolder("inner")];
  await writeFile(join(inner, "file"), "inner\n");
  const mounts = [
    { container_path: "/a/b", host_path: inner },
    { container_path: "/a", host_path: outer },
  ];
  assert.equal(await pod.output("cat /a/b/file", { mounts }), "inner\n");
});

test("mounts: the status shows what was asked for", async () => {
  await using pod = await TestPod.run(daemon);
  const host_path = await nodeFolder("shown");
  const asked = {
    container_path: "/m",
    host_path,
    readonly: true,
    propagation: "PROPAGATION_HOST_TO_CONTAINER",
  } as const;
  const { mounts } = await statusOf(daemon, await pod.create("true", { mounts: [asked] }));
  assert.equal(mounts.length, 1);
  for (const [key, value] of Object.entries(asked)) {
    assert.equal(mounts[0]?.[key as keyof typeof asked], value, key);
  }
});

for (const [what, mount] of [
  ["without host_path", { container_path: "/m" }],
  ["with a relative host_path", { container_path: "/m", host_path: "relative" }],
  ["without container_path", { host_path: "/tmp" }],
  ["over the root", { container_path: "/", host_path: "/tmp" }],
  ["over the root by a detour", { container_path: "/a/..", host_path: "/tmp" }],
] as const) {
  test(`mounts: one ${what} is refused`, async () => {
    await using pod = await TestPod.run(daemon);
    await assert.rejects(pod.create("true", { mounts: [mount] }), {
      code: 3,
      message: /mounts|host_path|container_path/,
    });
  });
}
