import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { TestDaemon } from "../harness/daemon.ts";
import { busyboxEntries, importImage, type ImageProcessConfig } from "../harness/images.ts";
import { type ContainerChange, TestPod } from "../harness/pod.ts";
import { statusOf } from "../harness/requests.ts";
import { World } from "../harness/world.ts";
import type { RawEntry } from "../images/tar-builder.ts";

const bed = new AsyncDisposableStack();
let world: World;
let daemon: TestDaemon;
let pod: TestPod;
/** A folder of the host that no container was given; what images aim at. */
let victim: string;

before(async () => {
  world = bed.use(await World.create());
  daemon = bed.use(await TestDaemon.start(world));
  pod = bed.use(await TestPod.run(daemon));
  victim = join(world.folder, "victim");
  await mkdir(victim);
  await writeFile(join(victim, "passwd"), "evil:x:4242:4242::/:/bin/sh\n");
  await writeFile(join(victim, "secret"), "of the host\n");
});

after(() => bed.disposeAsync());

let images = 0;

/** Imports an image of busybox and these entries, hands it to `attack`, and sees that the host is as it was. */
async function withImage(
  entries: readonly RawEntry[],
  config: ImageProcessConfig,
  attack: (change: ContainerChange) => Promise<void>,
): Promise<void> {
  images += 1;
  const image = `berth.test/hostile-${images}:latest`;
  await importImage(daemon, image, [...(await busyboxEntries()), ...entries], config);
  await attack({ image: { image } });
  assert.deepEqual(await readdir(victim), ["passwd", "secret"]);
  assert.equal(await readFile(join(victim, "secret"), "utf8"), "of the host\n");
}

/** A link that leads out of any root that does not hold it. */
const outside = (name: string): readonly string[] => [
  join(victim, name),
  `${"../".repeat(20)}${join(victim, name).slice(1)}`,
];

test("CVE-2019-16884, CVE-2023-28642: a VOLUME over /proc, or below it, does not replace it", async () => {
  const Volumes = { "/proc": {}, "/proc/self/attr": {}, "/tmp/../proc/": {}, "//proc/self": {}, "/sys": {} };
  await withImage([{ name: "proc/self/attr/exec", data: "" }], { Volumes }, async (change) => {
    const seen = await pod.output(
      "stat -f -c %T /proc; readlink /proc/self; grep -c ' /proc ' /proc/mounts",
      change,
    );
    assert.match(seen, /^proc\n\d+\n1\n$/);
  });
});

test("CVE-2019-16884, CVE-2025-54867: a symlink in the place of /proc or /sys is refused", async () => {
  for (const name of ["proc", "sys"]) {
    for (const linkName of ["tmp", ...outside("")]) {
      await withImage([{ name, type: "2", linkName }], {}, async (change) => {
        await assert.rejects(pod.create("true", change), {
          message: new RegExp(`mount /${name}: it is a symlink`),
        });
      });
    }
  }
});

test("CVE-2022-23648: a VOLUME with .. shows nothing of the host", async () => {
  const path = `/${"../".repeat(20)}${victim.slice(1)}`;
  await withImage([], { Volumes: { [path]: {}, [`/data/${path}`]: {} } }, async (change) => {
    assert.equal(await pod.output(`ls -A ${victim}; touch ${victim}/mine`, change), "");
  });
});

for (const [what, entry] of [
  ["an absolute symlink", () => outside("passwd").map((linkName) => ({ type: "2", linkName }))],
  ["a symlink to a device", () => [{ type: "2", linkName: "/dev/zero" }]],
  ["a device", () => [{ type: "3", major: 1, minor: 5 }]],
  ["a fifo", () => [{ type: "6" }]],
  ["a folder", () => [{ type: "5" }]],
] as const) {
  test(`CVE-2024-9676: /etc/passwd of an image that is ${what}`, async () => {
    for (const change of entry()) {
      await withImage([{ name: "etc/passwd", ...change }], { User: "evil" }, async (container) => {
        await assert.rejects(pod.create("true", container), (error: Error) => {
          assert.match(error.message, /\/etc\/passwd/);
          return true;
        });
      });
    }
  });
}

test("CVE-2025-4437: an /etc/passwd or /etc/group of many megabytes is refused, and not read to its end", async () => {
  const data = Buffer.alloc(8 * 1024 * 1024, "evil:x:1:1::/:/bin/sh\n");
  for (const name of ["etc/passwd", "etc/group"]) {
    await withImage([{ name, data }], { User: "evil" }, async (change) => {
      await assert.rejects(pod.create("true", change), { message: new RegExp(`/${name}`) });
    });
  }
});

const passwd = [
  "root:x:0:0::/root:/bin/sh",
  "4294967296:x:0:0::/:/bin/sh",
  "1001:x:0:0::/:/bin/sh",
  "over:x:4294967296:1::/:/bin/sh",
  "minus:x:-1:1::/:/bin/sh",
  "none:x::1::/:/bin/sh",
  "home:x:7:7::/\u0001x:/bin/sh",
].join("\n");

for (const [what, User] of [
  ["CVE-2024-40635: a uid that overflows to root", "4294967296"],
  ["CVE-2024-40635: a uid that overflows to root, with a group", "4294967296:0"],
  ["CVE-2024-40635: a uid above 2^31-1", "2147483648"],
  ["CVE-2024-40635: a gid that overflows", "1:4294967296"],
  ["CVE-2024-40635: a negative uid", "-1"],
  ["CVE-2026-46680: a name whose uid is out of range", "over"],
  ["CVE-2026-46680: a name whose uid is negative", "minus"],
  ["CVE-2026-46680: a name without a uid", "none"],
] as const) {
  test(`${what} is refused`, async () => {
    await withImage([{ name: "etc/passwd", data: passwd }], { User }, async (change) => {
      await assert.rejects(pod.create("true", change), { code: 3 });
    });
  });
}

test("CVE-2016-3697: a user in digits is a number, whatever /etc/passwd calls so", async () => {
  await withImage([{ name: "etc/passwd", data: passwd }], { User: "1001" }, async (change) => {
    assert.match(await pod.output("grep Uid: /proc/self/status", change), /^Uid:\t1001\t1001\t1001\t1001\n$/);
  });
});

test("CVE-2022-4318: control characters in HOME, of the image's variables or of its /etc/passwd", async () => {
  await withImage([], { Env: ["HOME=/root\nevil:x:0:0::/:/bin/sh"] }, async (change) => {
    await assert.rejects(pod.create("true", change), { code: 3, message: /HOME/ });
  });
  await withImage([{ name: "etc/passwd", data: passwd }], { User: "home" }, async (change) => {
    assert.equal(await pod.output("echo $HOME", change), "/\n");
  });
});

test("CVE-2024-5154: files and mounts of the runtime stay inside of the root that links them away", async () => {
  const places = [
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/mtab",
    "dev/shm",
    "dev/console",
    "run",
  ];
  for (const [of] of outside("").entries()) {
    const links = places.map((name) => ({
      name,
      type: "2",
      linkName: outside(name.replaceAll("/", "-"))[of] ?? "",
    }));
    await withImage([{ name: "dev/", type: "5" }, ...links], {}, async (change) => {
      const tty = await pod.finish("touch /run/x /etc/mtab; wc -l </etc/hosts", { ...change, tty: true });
      assert.equal(tty.status.exit_code, 0, tty.stdout);
    });
  }
});

test("CVE-2024-21626: a working folder of the image below /proc, and a symlink to one", async () => {
  const link = { name: "work", type: "2", linkName: "/proc/self/fd/8" };
  for (const WorkingDir of [
    "/proc/self/fd/7",
    "/proc/self/fd/8",
    "/proc/self/fd/9",
    "/proc/1/cwd",
    "/work",
  ]) {
    await withImage([link], { WorkingDir }, async (change) => {
      await assert.rejects(pod.create("ls", change), { message: /mkdir|cwd|chdir/ });
    });
  }
});

test("CVE-2026-53488: labels of an image become neither labels nor annotations of a container", async () => {
  const Labels = {
    "io.kubernetes.cri.sandbox-id": "evil",
    "io.containerd.runc.v2.group": "/bin/reboot",
    mine: "x",
  };
  await withImage([], { Labels }, async (change) => {
    const id = await pod.create("true", change);
    const { info } = await daemon.runtime.ContainerStatus({ container_id: id, verbose: true });
    const { runtimeSpec } = JSON.parse(info["info"] ?? "") as {
      runtimeSpec: { annotations: Record<string, string> };
    };
    const status = await statusOf(daemon, id);
    assert.deepEqual([status.labels, status.annotations], [{}, {}]);
    assert.equal(runtimeSpec.annotations["io.kubernetes.cri.sandbox-id"], pod.id);
    assert.doesNotMatch(JSON.stringify(runtimeSpec), /evil|reboot|mine/);
  });
});

test("CVE-2021-21334: containers of one image do not share their environment", async () => {
  await withImage([], { Env: ["OF=image"] }, async (change) => {
    const secret = { key: "SECRET", value: Buffer.from("mine") };
    const other = { key: "OF", value: Buffer.from("other") };
    await pod.create("true", { ...change, envs: [secret, other] });
    assert.equal(await pod.output("echo $OF $SECRET", change), "image\n");
  });
});

test("CVE-2014-9356, CVE-2024-3727: ids and digests that are paths are no files of the host", async () => {
  for (const reference of [
    `x@sha256:${"../".repeat(21)}e`,
    "../../../etc/passwd",
    `sha256:${"/".repeat(64)}`,
  ]) {
    await assert.rejects(pod.create("true", { image: { image: reference } }), { code: 3 }, reference);
    await assert.rejects(daemon.images.PullImage({ image: { image: reference } }), { code: 3 }, reference);
  }
});

test("CVE-2025-31133: a null device of the pod's own making is no mask", async () => {
  const dev = join(world.folder, "dev");
  for (const target of ["/proc/sys/kernel/hostname", join(victim, "secret"), "/etc/hosts"]) {
    await mkdir(dev);
    await world.must("ln", "-s", target, join(dev, "null"));
    const security = { masked_paths: ["/proc/timer_list", "/etc/hosts"] };
    const mounts = [{ container_path: "/dev", host_path: dev }];
    await withImage([], {}, async (change) => {
      const created = pod.create("true", { ...change, mounts, security });
      await assert.rejects(created, {
        code: 9,
        message: /\/dev\/null of the container is not the null device/,
      });
    });
    await rm(dev, { recursive: true });
  }
});
