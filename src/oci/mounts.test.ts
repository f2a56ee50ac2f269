import assert from "node:assert/strict";
import { test } from "node:test";
import type { ContainerMount } from "../core/container.ts";
import { type ErrorCode, hasCode } from "../core/errors.ts";
import { defaultMounts, type MountPlan, type MountRequest, planMounts } from "./mounts.ts";

function mount(containerPath: string, part: Partial<ContainerMount> = {}): ContainerMount {
  return {
    containerPath,
    hostPath: "/h",
    readonly: false,
    recursiveReadOnly: false,
    selinuxRelabel: false,
    propagation: "private",
    uidMappings: [],
    gidMappings: [],
    imageSubPath: "",
    ...part,
  };
}

const files = { hosts: "/p/hosts", hostname: "/p/hostname", resolvConf: "/p/resolv.conf", shm: "/p/shm" };
const defaults = defaultMounts({ privileged: false, bindSys: false, cgroupOptions: [] });

function plan(
  mounts: readonly ContainerMount[],
  readonlyRootfs = false,
  idMappings: MountRequest["idMappings"] = {},
): MountPlan {
  return planMounts({
    defaults,
    files,
    readonlyRootfs,
    mounts,
    imageIds: new Map(mounts.filter(({ image }) => image === "models:1").map((one) => [one, "sha256:7"])),
    idMappings,
  });
}

function lines(mounts: MountPlan["mounts"]): readonly string[] {
  return mounts.map(
    ({ destination, source = "", options = [] }) => `${source} ${destination} ${options.join(",")}`,
  );
}

test("mounts: the runtime's own", () => {
  assert.deepEqual(lines(plan([]).mounts), [
    "proc /proc nosuid,noexec,nodev",
    "tmpfs /dev nosuid,strictatime,mode=755,size=65536k",
    "devpts /dev/pts nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5",
    "mqueue /dev/mqueue nosuid,noexec,nodev",
    "sysfs /sys nosuid,noexec,nodev,ro",
    "cgroup /sys/fs/cgroup nosuid,noexec,nodev,relatime,ro",
    "/p/hostname /etc/hostname rbind,rprivate,rw",
    "/p/hosts /etc/hosts rbind,rprivate,rw",
    "/p/resolv.conf /etc/resolv.conf rbind,rprivate,rw",
    "/p/shm /dev/shm rbind,rprivate,rw,nosuid,nodev,noexec",
  ]);
});

test("mounts: privileged, and a host network in a user namespace", () => {
  const privileged = defaultMounts({ privileged: true, bindSys: false, cgroupOptions: ["nsdelegate"] });
  assert.deepEqual(lines(privileged).slice(-2), [
    "sysfs /sys nosuid,noexec,nodev,rw",
    "cgroup /sys/fs/cgroup nosuid,noexec,nodev,relatime,rw,nsdelegate",
  ]);
  const [, , , , sys] = defaultMounts({ privileged: false, bindSys: true, cgroupOptions: [] });
  assert.deepEqual(sys?.options, ["rbind", "rro", "nosuid", "noexec", "nodev"]);
});

test("mounts: the request's take the place of the runtime's, parents come first", () => {
  const { mounts } = plan([
    mount("/a/b/c"),
    mount("/etc//hosts/"),
    mount("a/x/../b"),
    mount("/dev/./shm"),
    mount("/a"),
  ]);
  const destinations = mounts.map(({ destination }) => destination);
  assert.deepEqual(destinations.slice(8), ["/a", "/etc/hosts", "/a/b", "/dev/shm", "/a/b/c"]);
  assert.equal(destinations.filter((path) => path === "/etc/hosts" || path === "/dev/shm").length, 2);
  const overDev = plan([mount("/dev")]).mounts.map(({ destination }) => destination);
  assert.deepEqual(
    overDev.filter((path) => path.startsWith("/dev")),
    ["/dev"],
  );
});

test("mounts: the pod's files are read-only where the root is, its /dev/shm is not", () => {
  const own = lines(plan([], true).mounts).slice(-4);
  assert.match(
    own.join(" "),
    /hostname rbind,rprivate,ro .*hosts rbind,rprivate,ro .*resolv.conf rbind,rprivate,ro .*shm rbind,rprivate,rw/,
  );
});

test("mounts: options", () => {
  const image = { image: "models:1", hostPath: "" };
  const table: readonly (readonly [Partial<ContainerMount>, string, string | undefined])[] = [
    [{}, "/h /models rbind,rprivate,rw", undefined],
    [{ readonly: true }, "/h /models rbind,rprivate,ro", undefined],
    [{ readonly: true, recursiveReadOnly: true }, "/h /models rbind,rprivate,rro", undefined],
    [{ propagation: "host-to-container" }, "/h /models rbind,rslave,rw", "slave"],
    [{ propagation: "bidirectional", readonly: true }, "/h /models rbind,rshared,ro", "shared"],
    [image, "sha256:7 /models ro,nosuid,nodev", undefined],
    [{ ...image, imageSubPath: "a/b" }, "sha256:7/a/b /models ro,nosuid,nodev", undefined],
  ];
  for (const [part, expected, propagation] of table) {
    const { mounts, rootfsPropagation } = plan([mount("/models", part)]);
    assert.equal(lines(mounts).at(-1), expected);
    assert.equal(rootfsPropagation, propagation);
  }
});

test("mounts: id mappings", () => {
  const mapping = { containerId: 0, hostId: 100_000, length: 65_536 };
  const { mounts } = plan([mount("/a", { uidMappings: [mapping], gidMappings: [mapping] })]);
  const expected = [{ containerID: 0, hostID: 100_000, size: 65_536 }];
  assert.deepEqual([mounts.at(-1)?.uidMappings, mounts.at(-1)?.gidMappings], [expected, expected]);
});

test("mounts: an image is seen through the pod's id mappings, where its mount has none of its own", () => {
  const own = { containerId: 0, hostId: 100_000, length: 65_536 };
  const pods = [{ containerID: 0, hostID: 200_000, size: 65_536 }];
  const mapped = (part: Partial<ContainerMount>): unknown => {
    const { mounts } = plan([mount("/m", part)], false, { uidMappings: pods, gidMappings: pods });
    return mounts.at(-1)?.uidMappings?.[0]?.hostID;
  };
  assert.equal(mapped({}), undefined);
  assert.equal(mapped({ image: "models:1" }), 200_000);
  assert.equal(mapped({ image: "models:1", uidMappings: [own], gidMappings: [own] }), 100_000);
});

test("mounts: what is refused", () => {
  const table: readonly (readonly [string, Partial<ContainerMount>, ErrorCode, RegExp])[] = [
    ["", {}, "invalid-argument", /"" is not a place/],
    ["/", {}, "invalid-argument", /not a place/],
    ["/a/..", {}, "invalid-argument", /not a place/],
    ["/a\0", {}, "invalid-argument", /not a place/],
    ["/a", { hostPath: "h" }, "invalid-argument", /host_path "h" of \/a/],
    ["/a", { hostPath: "" }, "invalid-argument", /host_path/],
    ["/a", { recursiveReadOnly: true }, "invalid-argument", /^RROUnsupported: .*\/a: it is not readonly/],
    [
      "/a",
      { recursiveReadOnly: true, readonly: true, propagation: "host-to-container" },
      "invalid-argument",
      /^RROUnsupported: .*host-to-container/,
    ],
    ["/a", { image: "models:2" }, "not-found", /^ImageVolumeMountFailed: mount \/a: image models:2/],
  ];
  for (const [path, part, code, message] of table) {
    assert.throws(
      () => plan([mount(path, part)]),
      (error) => hasCode(error, code) && message.test(error.message),
      String(message),
    );
  }
});
