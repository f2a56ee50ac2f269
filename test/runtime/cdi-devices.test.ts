import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { leftovers } from "../harness/leftovers.ts";
import { TestPod } from "../harness/pod.ts";
import { execSync, makeTestImage } from "../harness/requests.ts";
import { World } from "../harness/world.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let specs: string;

before(async () => {
  world = bed.use(await World.create());
  specs = join(world.folder, "cdi");
  await world.must("mkdir", "-p", specs, join(world.folder, "driver"));
  await writeFile(join(world.folder, "driver/lib.so"), "library\n");
  // A node of the kernel's random device under a name of its own, and a program that notes the container's state.
  await world.must("mknod", "-m", "0640", join(world.folder, "vendor0"), "c", "1", "8");
  await writeFile(join(world.folder, "hook"), `#!/bin/sh\ncat >"${world.folder}/state"\n`, { mode: 0o755 });
  daemon = bed.use(await TestDaemon.start(world, { flags: ["--cdi-spec-dirs", specs] }));
  await makeTestImage(daemon);
  // The first pod makes the bridge, which stays.
  await (await TestPod.run(daemon))[Symbol.asyncDispose]();
  await writeFile(join(specs, "vendor.yaml"), vendorSpec(world.folder));
});

after(() => bed.disposeAsync());

function vendorSpec(folder: string): string {
  return `
cdiVersion: 0.7.0
kind: vendor.com/gpu
containerEdits:
  env: [VENDOR=yes]
  mounts:
    - { hostPath: ${folder}/driver, containerPath: /opt/vendor, options: [ro, nosuid, rbind] }
  hooks:
    - { hookName: createRuntime, path: ${folder}/hook, args: [hook] }
  additionalGids: [4242]
devices:
  - name: 0
    containerEdits:
      env: [GPU=first]
      deviceNodes:
        - { path: /dev/gpu/zero, hostPath: ${folder}/vendor0, permissions: rw }
        - { path: /dev/kmsg, permissions: r }
  - name: rdt
    containerEdits:
      intelRdt: { closID: x }
  - name: gone
    containerEdits:
      deviceNodes: [{ path: /dev/vendor-gone }]
`;
}

const asked = { CDI_devices: [{ name: "vendor.com/gpu=0" }] };

test("cdi: a device's variables, nodes, mounts, groups and hooks reach the container, and nothing stays", async () => {
  const clean = await leftovers(world);
  {
    await using pod = await TestPod.run(daemon);
    const script = [
      'echo "$VENDOR $GPU"',
      "stat -c '%t:%T %a' /dev/gpu/zero",
      "head -c 1 /dev/gpu/zero | wc -c",
      "(: >/dev/kmsg) 2>/dev/null || echo not to be written",
      "(: </dev/kmsg) && echo to be read",
      "cat /opt/vendor/lib.so; touch /opt/vendor/x 2>/dev/null || echo read-only",
      "id -G",
    ].join("\n");
    // The kernel's log needs the capability besides the device.
    const security = { capabilities: { add_capabilities: ["SYSLOG"] } };
    const id = await pod.start("exec sleep 1000", { ...asked, security });
    const seen = await execSync(daemon, id, "sh", "-c", script);
    assert.equal(
      seen.stdout,
      "yes first\n1:8 640\n1\nnot to be written\nto be read\nlibrary\nread-only\n0 4242\n",
      seen.stderr,
    );
    const state = JSON.parse(await readFile(join(world.folder, "state"), "utf8")) as { id: string };
    assert.equal(state.id, id);
  }
  assert.deepEqual(await leftovers(world), clean);
});

test("cve-2026-53492: cdi devices by the container's annotations alone, not by the pod's, which users write", async () => {
  const annotations = { "cdi.k8s.io/vendor.plugin_1": "vendor.com/gpu=0" };
  await using pod = await TestPod.run(daemon, { annotations });
  assert.equal(await pod.output('echo "$GPU"', { annotations }), "first\n");
  assert.equal(await pod.output('echo "$GPU"'), "\n");
});

test("cdi: specs are read when they are asked for", async () => {
  await using pod = await TestPod.run(daemon);
  const path = join(specs, "late.json");
  const devices = [{ name: "1", containerEdits: { env: ["LATE=1"] } }];
  const late = { CDI_devices: [{ name: "late.com/x=1" }] };
  await assert.rejects(pod.create("true", late), { code: 3 });
  await writeFile(path, JSON.stringify({ cdiVersion: "0.5.0", kind: "late.com/x", devices }));
  assert.equal(await pod.output('echo "$LATE"', late), "1\n");
  await rm(path);
});

for (const [name, code, details] of [
  ["vendor.com/gpu=7", 3, /CDI device vendor\.com\/gpu=7: not in .*\/cdi/],
  ["gpu", 3, /config\.CDI_devices\[0\]: "gpu" is not vendor\/class=name/],
  ["vendor.com/gpu=rdt", 9, /edits of intelRdt are not supported/],
  ["vendor.com/gpu=gone", 9, /no device node at \/dev\/vendor-gone/],
] as const) {
  test(`cdi: ${name} is refused by name and leaves nothing`, async () => {
    await using pod = await TestPod.run(daemon);
    const clean = await leftovers(world);
    await assert.rejects(pod.create("true", { CDI_devices: [{ name }] }), { code, details });
    assert.deepEqual(await leftovers(world), clean);
  });
}
