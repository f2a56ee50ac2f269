import "./isolated.ts";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { SpecMount } from "../../src/core/oci-runtime-spec.ts";
import { until } from "./evidence.ts";
import { type SpecChange, type TestContainer, TestHost, makeRootfs, wait } from "./host.ts";

let host: TestHost;
before(async () => {
  host = await TestHost.start();
});
after(async () => {
  await host[Symbol.asyncDispose]();
});

function folder(name: string): string {
  const path = join(host.folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

function bind(source: string, destination: string, ...options: string[]): SpecMount {
  return { destination, type: "bind", source, options: ["rbind", ...options] };
}

async function output(script: string, change: SpecChange): Promise<string> {
  const { lines, record } = await host.sh(script, change);
  return lines.map((line) => line.replace(/^std(out|err) [FP] /, "")).join("\n") + record.message;
}

test("binds: folders and files, targets made where they are missing", async () => {
  const source = folder("data");
  writeFileSync(join(source, "file"), "content");
  const mounts = [bind(source, "/a/b/c"), bind(join(source, "file"), "/etc/deep/one")];
  assert.equal(
    await output("cat /a/b/c/file /etc/deep/one; echo new > /a/b/c/new", { mounts }),
    "contentcontent",
  );
  assert.equal(readFileSync(join(source, "new"), "utf8"), "new\n");
});

test("binds: missing sources are made as folders where the request says so", async () => {
  const source = join(host.folder, "made/by/shim");
  const change = { mounts: [bind(source, "/m")], request: { createSources: [source] } };
  assert.equal(await output("touch /m/x && echo ok", change), "ok");
  assert.ok(existsSync(join(source, "x")));
});

test("binds: ro, and rro for what is mounted below; without rro that stays writable", async () => {
  const source = folder("tree");
  folder("tree/sub");
  execFileSync("mount", ["-t", "tmpfs", "none", join(source, "sub")]);
  const script = "touch /t/x 2>&1; touch /t/sub/x 2>&1; echo end";
  assert.match(
    await output(script, { mounts: [bind(source, "/t", "ro")] }),
    /^touch: \/t\/x: Read-only file system\nend$/,
  );
  assert.match(
    await output(script, { mounts: [bind(source, "/t", "rro")] }),
    /^touch: \/t\/x: Read-only.*\ntouch: \/t\/sub\/x: Read-only.*\nend$/,
  );
  execFileSync("umount", [join(source, "sub")]);
});

test("binds: through symlinks of the image, always inside the root; dangling ones are made", async () => {
  const rootfs = join(host.folder, "linked");
  makeRootfs(rootfs, ["var"]);
  mkdirSync(join(rootfs, "var"));
  symlinkSync("/run", join(rootfs, "var/run"));
  symlinkSync("../../../../../..", join(rootfs, "up"));
  symlinkSync("../../../../run/resolve/stub", join(rootfs, "var/file"));
  const source = folder("secret");
  writeFileSync(join(source, "s"), "s");
  const change = {
    mounts: [
      bind(source, "/var/run/secrets/x"),
      bind(source, "/up/inside"),
      bind(join(source, "s"), "/var/file"),
    ],
    request: { rootfs: { kind: "directory", path: rootfs } as const },
  };
  assert.equal(await output("cat /run/secrets/x/s /inside/s /run/resolve/stub", change), "sss");
  assert.equal(existsSync("/inside"), false);
  assert.equal(existsSync("/run/resolve"), false);
});

test("propagation: Bidirectional reaches the host and a HostToContainer neighbour, private does not", async () => {
  const shared = folder("shared");
  execFileSync("mount", ["-t", "tmpfs", "none", shared]);
  execFileSync("mount", ["--make-shared", shared]);
  mkdirSync(join(shared, "point"));
  const privileged = {
    bounding: ["CAP_SYS_ADMIN"],
    effective: ["CAP_SYS_ADMIN"],
    permitted: ["CAP_SYS_ADMIN"],
  };
  const start = async (option: string, propagation?: "shared" | "slave"): Promise<TestContainer> => {
    const container = await host.create(["sleep", "100"], {
      mounts: [bind(shared, "/s", option)],
      process: { capabilities: privileged },
      ...(propagation === undefined ? {} : { linux: { rootfsPropagation: propagation } }),
    });
    await container.shim.start(wait);
    return container;
  };
  const [driver, slave, alone] = [
    await start("rshared", "shared"),
    await start("rslave", "slave"),
    await start("rprivate"),
  ];
  assert.equal(await host.exec(driver, "mount -t tmpfs x /s/point && touch /s/point/mark", privileged), "");
  assert.ok(existsSync(join(shared, "point/mark")), "on the host");
  assert.equal(await host.exec(slave, "ls /s/point"), "mark\n");
  assert.equal(await host.exec(alone, "ls /s/point"), "");
  assert.equal(await host.exec(slave, "mount -t tmpfs y /s/point", privileged), "");
  assert.ok(existsSync(join(shared, "point/mark")), "a slave's mounts stay its own");
  for (const container of [driver, slave, alone]) await container.shim.delete(wait);
  execFileSync("umount", ["-l", join(shared, "point")]);
  execFileSync("umount", ["-l", shared]);
});

test("propagation: Bidirectional on a mount that is not shared is refused, naming it", async () => {
  const source = folder("unshared");
  await host.createFails(
    ["true"],
    { mounts: [bind(source, "/s", "rshared")] },
    { message: /unshared is mounted on .* but it is not a shared mount/ },
  );
  await host.createFails(
    ["true"],
    { mounts: [bind(source, "/s", "rslave")] },
    { message: /not a shared or slave mount/ },
  );
});

test("propagation: what the host mounts later stays out of the container's root", async () => {
  const container = await host.create(["sleep", "100"]);
  await container.shim.start(wait);
  const point = folder("later");
  execFileSync("mount", ["-t", "tmpfs", "later", point]);
  assert.doesNotMatch(await host.exec(container, "cat /proc/self/mountinfo"), /later/);
  execFileSync("umount", [point]);
  await container.shim.delete(wait);
});

for (const lowerdirPlus of [true, false]) {
  test(`overlay: 120 layers, ${lowerdirPlus ? "by fsconfig(2)" : "by mount(2)"}`, async () => {
    const layersDir = folder("layers");
    const lowers = Array.from({ length: 119 }, (_, index) => `l${index}`);
    for (const name of lowers) {
      mkdirSync(join(layersDir, name), { recursive: true });
      writeFileSync(join(layersDir, name, name), name);
    }
    if (!existsSync(join(layersDir, "base"))) makeRootfs(join(layersDir, "base"));
    for (const name of ["upper", "work"])
      mkdirSync(join(host.folder, `many-${lowerdirPlus}`, name), { recursive: true });
    const rootfs = {
      kind: "overlay",
      layersDir,
      lowers: [...lowers, "base"],
      upper: join(host.folder, `many-${lowerdirPlus}`, "upper"),
      work: join(host.folder, `many-${lowerdirPlus}`, "work"),
      volatile: true,
      lowerdirPlus,
    } as const;
    assert.equal(
      await output("cat /l0 /l57 /l118; echo; ls -d /l* | wc -l", { request: { rootfs } }),
      "l0l57l118\n119",
    );
  });
}

for (const lowerdirPlus of [true, false]) {
  test(`images: two layers, and a folder of them, ${lowerdirPlus ? "by fsconfig(2)" : "by mount(2)"}`, async () => {
    const layersDir = folder(`image-${lowerdirPlus}`);
    for (const name of ["top", "base"]) {
      mkdirSync(join(layersDir, name, "sub"), { recursive: true });
      writeFileSync(join(layersDir, name, "sub", name), name);
    }
    const image = { source: "sha256:1", layersDir, lowers: ["top", "base"], lowerdirPlus };
    const imageMounts = [
      { ...image, destination: "/all", subPath: "" },
      { ...image, destination: "/part", subPath: "sub" },
    ];
    const mounts = imageMounts.map(({ destination, source }) => ({
      destination,
      source,
      type: "image",
      options: ["ro"],
    }));
    const script = "ls /all/sub /part; touch /part/x 2>/dev/null || echo refused";
    assert.equal(
      await output(script, { mounts, request: { imageMounts } }),
      "/all/sub:\nbase\ntop\n\n/part:\nbase\ntop\nrefused",
    );
  });
}

test("images: a mount without its layers is refused", async () => {
  const mounts = [{ destination: "/i", type: "image", source: "sha256:1", options: ["ro"] }];
  await assert.rejects(host.create(["true"], { mounts }), {
    code: "invalid-argument",
    message: /^ImageVolumeMountFailed: mount \/i: no layers of sha256:1 came along/,
  });
});

test("overlay: paths far over 107 and 255 bytes, sockets included", async () => {
  const deep = folder("d".repeat(120) + "/" + "e".repeat(120) + "/" + "f".repeat(80));
  for (const name of ["upper", "work", "bundle"]) mkdirSync(join(deep, name));
  const change = {
    request: {
      rootfs: {
        kind: "overlay",
        layersDir: host.folder,
        lowers: ["rootfs"],
        upper: join(deep, "upper"),
        work: join(deep, "work"),
        volatile: false,
        lowerdirPlus: true,
      } as const,
      socket: join(deep, "bundle", "shim.sock"),
    },
  };
  const container = await host.create(["sh", "-c", "touch /here; sleep 100"], change);
  await container.shim.start(wait);
  assert.equal(await host.exec(container, "until [ -e /here ]; do sleep 0.01; done; echo found"), "found\n");
  assert.ok(existsSync(join(deep, "upper", "here")));
  await container.shim.delete(wait);
});

test("idmapped binds: the host's owner seen through the map", async () => {
  const source = folder("owned");
  writeFileSync(join(source, "f"), "");
  execFileSync("chown", ["5000:5000", join(source, "f")]);
  const map = [{ containerID: 5000, hostID: 42, size: 1 }];
  const mounts = [{ ...bind(source, "/o"), uidMappings: map, gidMappings: map }];
  const seen = await output("stat -c %u:%g /o/f", { mounts });
  assert.match(seen, /^42:42$/);
});

test("a mount that can't be attached is named, and nothing stays", async () => {
  const file = join(folder("kinds"), "file");
  writeFileSync(file, "");
  await host.createFails(
    ["true"],
    { mounts: [bind(file, "/etc")] },
    { message: /mount \/etc: its source is a file, the place a directory/ },
  );
  await until(() => !readFileSync("/proc/self/mountinfo", "utf8").includes("kinds"), "no mount stays");
});
