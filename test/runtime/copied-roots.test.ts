import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Berth } from "../cli/berth.ts";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importLayers } from "../harness/images.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod, type ContainerChange } from "../harness/pod.ts";
import { eventually, execSync, makeTestImage, podConfig, runPod, scriptConfig } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let berth: Berth;

const layered = "berth.test/layered:1";
/** Its tree takes a good part of a second to copy. */
const large = "berth.test/large:1";
const filesOfLarge = 15_000;
const fromLayered: ContainerChange = { image: { image: layered } };

before(async () => {
  world = bed.use(await World.create());
  const flags = ["--images-snapshotter", "copy", "--unclaimed-timeout-ms", "1000"];
  daemon = bed.use(await TestDaemon.start(world, { flags }));
  berth = new Berth(daemon);
  await makeTestImage(daemon);
  await importLayers(daemon, layered, [
    [
      ...(await busyboxEntries()),
      { name: "data/", type: "5", uid: 1000, gid: 1000, mode: 0o750 },
      { name: "data/gone", data: "gone" },
      { name: "data/kept", data: "kept\n", uid: 1000, gid: 1000 },
      { name: "data/again", type: "1", linkName: "data/kept" },
      { name: "ballast", data: Buffer.alloc(3_000_000, 7) },
    ],
    [
      { name: "data/", type: "5", uid: 1000, gid: 1000, mode: 0o750 },
      { name: "data/.wh.gone" },
      { name: "upper", data: "upper\n", mode: 0o4755 },
    ],
  ]);
  const many = Array.from({ length: filesOfLarge }, (_, index) => ({ name: `many/${index}`, data: "x" }));
  await importLayers(daemon, large, [[...(await busyboxEntries()), ...many]]);
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
});

after(() => bed.disposeAsync());

test("copied roots: a container sees its image, writes to its own copy, and leaves nothing", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const look =
      "ls /data; cat /data/again; ls -ln /data/kept | cut -c1-24; ls -ln /upper | cut -c1-24; ls -lnd /data | cut -c1-24";
    const lines = [
      "again",
      "kept",
      "kept",
      "-rw-r--r--    2 1000    ",
      "-rwsr-xr-x    1 0       ",
      "drwxr-x---    2 1000    ",
    ];
    assert.equal(await pod.output(look, fromLayered), `${lines.join("\n")}\n`);
    const writer = await pod.start(
      "echo mine > /data/kept; rm /upper; echo done; exec sleep 1000",
      fromLayered,
    );
    await eventually(
      async () =>
        (await execSync(daemon, writer, "cat", "/data/again")).stdout === "mine\n" ? true : undefined,
      "the container to have written",
    );
    assert.equal(await pod.output("cat /data/kept /upper", fromLayered), "kept\nupper\n", "no other's");
    const root = await world.must(
      "sh",
      "-c",
      `cut -d' ' -f1,4- /proc/$(pgrep -x sleep | tail -1)/mountinfo | head -1`,
    );
    assert.doesNotMatch(root, /overlay/);
    const readOnly = await pod.finish("echo x > /data/kept", {
      ...fromLayered,
      security: { readonly_rootfs: true },
    });
    assert.match(readOnly.stderr, /Read-only file system/);
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("copied roots: in a user namespace files belong to whom they belonged in the image, and so do commits", async () => {
  const mapping = [{ host_id: 1_000_000, container_id: 0, length: 65_536 }];
  await using pod = await TestPod.withNamespaces(daemon, {
    pid: "CONTAINER",
    userns_options: { mode: "POD", uids: mapping, gids: mapping },
  });
  const script =
    "ls -ln /data/kept | cut -c1-32; echo new > /data/new; chown 7:8 /data/new; cat /proc/self/uid_map; exec sleep 1000";
  const id = await pod.start(script, fromLayered);
  await eventually(
    async () => ((await execSync(daemon, id, "ls", "/data")).stdout.includes("new") ? true : undefined),
    "the container to have written",
  );
  assert.match((await execSync(daemon, id, "ls", "-ln", "/data/kept")).stdout, / 1000 +1000 /);
  await berth.must("commit", id, "berth.test/namespaced:1");
  await using plain = await TestPod.run(daemon);
  const seen = await plain.output("ls -ln /data/new", { image: { image: "berth.test/namespaced:1" } });
  assert.match(seen, / 7 +8 /);
});

test("copied roots: commit is what changed, export is all, du and stats count what was written", async () => {
  await using pod = await TestPod.run(daemon);
  const script =
    "rm -r /data; mkdir /fresh; echo 1 > /fresh/f; head -c 2000000 /dev/zero | tr '\\0' x > /big; chmod 4711 /upper; exec sleep 1000";
  const image = { ...fromLayered, command: ["/bin/busybox", "sh", "-c", script] };
  const id = await pod.start(script, image);
  await eventually(
    async () =>
      (await execSync(daemon, id, "/bin/busybox", "stat", "-c", "%a", "/upper")).stdout === "4711\n"
        ? true
        : undefined,
    "the container to have written",
  );
  await berth.must("commit", id, "berth.test/changed:1");
  const file = join(world.folder, "changed.tar");
  await berth.must("save", "berth.test/changed:1", "-o", file);
  const tree = join(world.folder, "changed");
  await mkdir(tree);
  await world.must("tar", "-xf", file, "-C", tree);
  const [manifest] = JSON.parse(await world.must("cat", join(tree, "manifest.json"))) as [
    { Layers: string[] },
  ];
  const names = await world.must("tar", "-tzf", join(tree, manifest.Layers.at(-1) ?? ""));
  const told = names.split("\n").filter((name) => !/^(etc|dev|proc|sys|tmp|run)\b/.test(name) && name !== "");
  assert.deepEqual(told, ["./", "big", "upper", "fresh/", "fresh/f", ".wh.data"]);
  const check = "ls -d /data /fresh/f; ls -ln /upper | cut -c1-10";
  const again = await pod.finish(check, { image: { image: "berth.test/changed:1" } });
  assert.equal(again.stdout, "/fresh/f\n-rws--x--x\n");

  const exported = join(world.folder, "exported.tar");
  await berth.must("export", id, "-o", exported);
  const all = (await world.must("tar", "-tf", exported)).split("\n");
  for (const name of ["ballast", "big", "bin/busybox", "fresh/f"]) assert.ok(all.includes(name), name);
  assert.ok(!all.some((name) => name.startsWith("data/")));

  const written = await eventually(async () => {
    const { stats } = await daemon.runtime.ContainerStats({ container_id: id });
    const bytes = Number(stats?.writable_layer?.used_bytes?.value ?? 0);
    return bytes > 0 ? bytes : undefined;
  }, "the writable layer to be measured");
  assert.ok(written > 1_900_000 && written < 2_500_000, `${written} bytes, without the image's own`);
  assert.match(await berth.must("fsck"), /all is well/);
});

test("copied roots: an image volume of several layers is a copy too, and goes with its container", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const mounts = [{ container_path: "/volume", image: { image: layered }, readonly: true }];
    const seen = await pod.finish("ls /volume/data; cat /volume/upper; echo x > /volume/x", { mounts });
    assert.equal(seen.stdout, "again\nkept\nupper\n");
    assert.match(seen.stderr, /Read-only file system/);
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("copied roots: a daemon killed in the middle of a copy leaves nothing, and the name is free", async () => {
  await using pod = await TestPod.run(daemon);
  const request = {
    pod_sandbox_id: pod.id,
    config: scriptConfig("exec sleep 1000", { image: { image: large } }),
    sandbox_config: pod.config,
  };
  await daemon.runtime.RemoveContainer(await daemon.runtime.CreateContainer(request));
  const clean = await leftovers(world);
  const tmp = join(world.folder, "root/tmp");
  for (let round = 0; round < 4; round++) {
    const kill = await daemon.aim();
    const creation = { ended: false };
    const creating = daemon.runtime
      .CreateContainer(request)
      .catch(() => undefined)
      .finally(() => (creation.ended = true));
    // Looked at without a pause, as it may be short; one that was missed is a round without a kill in its midst.
    while (!creation.ended && !(await readdir(tmp)).some((name) => name.startsWith("copy-"))) continue;
    await kill();
    await creating;
    await daemon.restart();
    assert.deepEqual(await readdir(tmp), []);
    const { containers } = await daemon.runtime.ListContainers({});
    for (const { id } of containers) await daemon.runtime.RemoveContainer({ container_id: id });
    assert.deepEqual(await leftovers(world), clean);
  }
  await daemon.runtime.RemoveContainer(await daemon.runtime.CreateContainer(request));
});

test("copied roots: what was made as an overlay stays one, and the other way round", async () => {
  await using other = await World.create();
  const root = join(other.folder, "root");
  await using plain = await TestDaemon.start(other);
  await makeTestImage(plain);
  const pod = podConfig(plain);
  const podId = await runPod(plain, pod);
  const create = async (name: string): Promise<string> => {
    const config = scriptConfig("echo written > /f; exec sleep 1000", {
      metadata: { name, attempt: 0 },
      log_path: `${name}.log`,
    });
    const made = await plain.runtime.CreateContainer({ pod_sandbox_id: podId, sandbox_config: pod, config });
    await plain.runtime.StartContainer(made);
    return made.container_id;
  };
  const asOverlay = await create("one");
  await plain.end("SIGKILL");
  await other.file("config.toml", '[images]\nsnapshotter = "copy"\n');
  await using copying = await TestDaemon.start(other, {
    flags: ["--config", join(other.folder, "config.toml")],
  });
  const kinds = async (id: string): Promise<string[]> =>
    (await readdir(join(root, "containers", id))).toSorted();
  assert.deepEqual(await kinds(asOverlay), ["upper", "work"]);
  const made = await copying.runtime.CreateContainer({
    pod_sandbox_id: podId,
    sandbox_config: pod,
    config: scriptConfig("exec sleep 1000"),
  });
  assert.deepEqual(await kinds(made.container_id), ["rootfs"]);
  for (const id of [asOverlay, made.container_id]) {
    await new Berth(copying).must("commit", id, `berth.test/${id.slice(0, 6)}:1`);
    await copying.runtime.RemoveContainer({ container_id: id });
  }
  assert.deepEqual(await readdir(join(root, "containers")), []);
  await copying.runtime.RemovePodSandbox({ pod_sandbox_id: podId });
});

test("copied roots: where overlay does not work below the root folder auto means copies, and info says so", async () => {
  await using other = await World.create();
  const at = (name: string): string => join(other.folder, name);
  for (const name of ["lower", "upper", "work", "root"]) await mkdir(at(name));
  const options = `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")}`;
  await other.must("mount", "-t", "overlay", "-o", options, "overlay", at("root"));
  const refused = await TestDaemon.refuse(other, ["--images-snapshotter", "overlay"]);
  assert.notEqual(refused.status, 0);
  assert.match(refused.stderr, /lacks what berthd needs: overlay \(.*upper/);
  await using own = await TestDaemon.start(other);
  assert.match(own.log, /the host lacks something.*overlay.*copy of its image's tree/);
  const info = await new Berth(own).must("info");
  assert.match(info, /overlay.*copy of its image's tree/s);
  await makeTestImage(own);
  await using pod = await TestPod.run(own);
  assert.equal(await pod.output("echo hello > /f; cat /f"), "hello\n");
});
