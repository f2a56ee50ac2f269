/** A published weakness of another runtime, and what is done about it here. */
export interface Weakness {
  /** As published; several of one kind together. */
  readonly ids: readonly string[];
  readonly where: string;
  readonly what: string;
  /** Files below test/ or src/ and part of a test's title in each: the attack, seen to fail. */
  readonly tests: readonly (readonly [file: string, title: string])[];
  /** What cannot be tried on this machine or does not exist here; needed where there is no test. */
  readonly note?: string;
}

const image = "test/security/image.test.ts";
const request = "test/security/request.test.ts";
const process = "test/security/process.test.ts";
const peer = "test/security/peer.test.ts";
const unpacker = "test/images/unpacker.test.ts";
const registry = "test/images/hostile.test.ts";
const shim = "test/shim/isolation.test.ts";

const noCheckpoints = "there is no checkpoint and no restore";

/** Every weakness that this project was built with in mind. A new one is a line here and a test. */
export const weaknesses: readonly Weakness[] = [
  {
    ids: ["CVE-2019-5736"],
    where: "runc",
    what: "the container overwrote the runtime's program through /proc/self/exe",
    tests: [
      [process, "gives a program of the host away"],
      [process, "a command that is /proc/self/exe"],
      [shim, "runs from a sealed copy"],
    ],
  },
  {
    ids: ["CVE-2016-9962"],
    where: "runc",
    what: "an added process had descriptors of the host and could be traced",
    tests: [
      [process, "no descriptor of the host"],
      [shim, "no descriptor but 0, 1 and 2"],
      ["test/shim/exec.test.ts", "no descriptor but 0, 1 and 2"],
    ],
  },
  {
    ids: ["CVE-2024-21626"],
    where: "runc",
    what: "working folder below /proc/self/fd led to the host",
    tests: [
      [request, "whatever leaked descriptor"],
      [image, "a working folder of the image below /proc"],
      ["test/shim/exec.test.ts", "an exec's working folder"],
    ],
  },
  {
    ids: ["CVE-2019-16884", "CVE-2023-28642"],
    where: "runc",
    what: "a VOLUME or symlink replaced /proc, labels went to a fake file",
    tests: [
      [image, "a VOLUME over /proc"],
      [image, "a symlink in the place of /proc"],
      [shim, "a volume over /proc"],
    ],
  },
  {
    ids: ["CVE-2019-19921", "CVE-2023-27561", "CVE-2025-54867", "CVE-2025-62161"],
    where: "runc, youki",
    what: "a symlink in a shared volume at /proc went round the masks",
    tests: [
      [request, "a mount at /proc or below it"],
      [image, "a symlink in the place of /proc"],
      [shim, "whose /proc is a symlink"],
    ],
  },
  {
    ids: ["CVE-2021-30465", "CVE-2024-45310"],
    where: "runc",
    what: "links exchanged between check and mount, or mkdir, led to the host",
    tests: [[process, "links that change while a container is made"]],
  },
  {
    ids: ["CVE-2022-29162", "CVE-2022-24769"],
    where: "runc, moby",
    what: "inheritable capabilities were not empty",
    tests: [
      [request, "no inheritable or ambient capability"],
      [shim, "inheritable and ambient empty"],
    ],
  },
  {
    ids: ["CVE-2023-25809"],
    where: "runc",
    what: "/sys/fs/cgroup could be written",
    tests: [
      [request, "the cgroups that a container sees"],
      ["test/shim/cgroup.test.ts", "read-only (CVE-2023-25809)"],
    ],
  },
  {
    ids: ["CVE-2025-31133"],
    where: "runc",
    what: "the container's /dev/null, a symlink, was bound over masked paths",
    tests: [
      [image, "a null device of the pod's own making"],
      [shim, "/dev/null of the image is no mask"],
    ],
  },
  {
    ids: ["CVE-2025-52565"],
    where: "runc",
    what: "the mount of /dev/console was raced",
    tests: [[process, "links that change while a container is made"]],
  },
  {
    ids: ["CVE-2025-52881"],
    where: "runc",
    what: "writes to /proc were redirected by shared mounts",
    tests: [[process, "what is written below /proc"]],
  },
  {
    ids: ["CVE-2020-15257"],
    where: "containerd",
    what: "the shim listened on an abstract socket",
    tests: [
      [peer, "abstract name"],
      ["test/shim/launcher.test.ts", "no abstract socket"],
    ],
  },
  {
    ids: ["CVE-2020-15157", "CVE-2021-41092"],
    where: "containerd, docker cli",
    what: "credentials went to another host",
    tests: [
      [registry, "the secrets stay with whom they are for"],
      ["test/images/mirrors.test.ts", "a token server that the target of a redirect names"],
    ],
  },
  {
    ids: ["CVE-2021-21334"],
    where: "containerd",
    what: "environment of one container reached another",
    tests: [
      [image, "do not share their environment"],
      ["src/oci/container-spec.test.ts", "immutable values"],
    ],
  },
  {
    ids: ["CVE-2021-32760"],
    where: "containerd",
    what: "unpacking changed modes of files outside",
    tests: [[unpacker, "chmod through a symbolic link"]],
  },
  {
    ids: ["CVE-2021-41103", "CVE-2024-25621"],
    where: "containerd",
    what: "folders of the runtime could be entered by others",
    tests: [
      [peer, "what others may enter"],
      [peer, "folders that were opened up"],
    ],
  },
  {
    ids: ["CVE-2021-43816"],
    where: "containerd",
    what: "a hostPath over /etc/hosts was relabelled",
    tests: [],
    note: "needs a kernel with SELinux; mounts of a request are relabelled where it asks, the pod's own files by the runtime alone",
  },
  {
    ids: ["CVE-2022-23648"],
    where: "containerd",
    what: "a VOLUME with .. copied files of the host",
    tests: [
      [image, "a VOLUME with .."],
      ["src/oci/container-spec.test.ts", "image volumes"],
    ],
  },
  {
    ids: ["CVE-2022-31030", "CVE-2022-1708"],
    where: "containerd, CRI-O",
    what: "output of ExecSync filled the memory",
    tests: [["test/runtime/process.test.ts", "output beyond a message is dropped"]],
  },
  {
    ids: ["CVE-2022-23471", "CVE-2025-64329"],
    where: "containerd",
    what: "each aborted exec or attach leaked a waiter",
    tests: [
      ["test/streaming/bad-input.test.ts", "after 1,000 streams and 200 commands"],
      ["test/shim/exec.test.ts", "1000 execs leave"],
      ["test/runtime/exec-leak.test.ts", "exec leak"],
    ],
  },
  {
    ids: ["CVE-2023-25153", "CVE-2026-47262"],
    where: "containerd",
    what: "documents of an image were read into memory whatever their size",
    tests: [
      [registry, "a manifest larger than its limit, without a length"],
      [registry, "a manifest that never ends"],
      [registry, "a config of an impossible size"],
    ],
  },
  {
    ids: ["CVE-2023-25173", "CVE-2022-2995", "CVE-2022-36109"],
    where: "containerd, CRI-O, moby",
    what: "supplementary groups were not set up",
    tests: [
      ["test/runtime/security.test.ts", "the request's groups alone"],
      [shim, "groups are exactly those given"],
    ],
  },
  {
    ids: ["CVE-2024-40635", "CVE-2026-46680", "CVE-2016-3697"],
    where: "containerd, docker",
    what: "users out of range became root; digits were looked up as names",
    tests: [
      [image, "a uid that overflows to root"],
      [image, "a name whose uid is out of range"],
      [image, "a user in digits is a number"],
    ],
  },
  {
    ids: ["CVE-2026-53488"],
    where: "containerd",
    what: "labels of an image became those of a container",
    tests: [[image, "labels of an image become neither"]],
  },
  {
    ids: ["CVE-2026-50195"],
    where: "containerd",
    what: "checkpoint tags poisoned",
    tests: [[request, noCheckpoints]],
  },
  {
    ids: ["CVE-2026-53489"],
    where: "containerd",
    what: "a symlink in the place of a log was followed",
    tests: [[request, "no symlink is written through"]],
  },
  {
    ids: ["CVE-2026-53492"],
    where: "containerd",
    what: "annotations of a pod picked CDI devices",
    tests: [["test/runtime/cdi-devices.test.ts", "by the container's annotations alone"]],
  },
  {
    ids: ["CVE-2024-3727"],
    where: "containers/image",
    what: "digests that were not checked became paths",
    tests: [
      [image, "ids and digests that are paths"],
      [registry, "a digest that is a path"],
    ],
  },
  {
    ids: ["CVE-2024-9676"],
    where: "containers/storage",
    what: "a symlink at /etc/passwd of an image was followed",
    tests: [
      [image, "/etc/passwd of an image that is"],
      [unpacker, "an absolute symbolic link, then through it"],
    ],
  },
  {
    ids: ["CVE-2024-37168"],
    where: "grpc-js",
    what: "messages beyond the limit were kept in memory",
    tests: [[peer, "messages beyond the limit"]],
  },
  {
    ids: ["CVE-2025-47290"],
    where: "containerd",
    what: "unpacking was raced",
    tests: [
      [peer, "what others may enter"],
      ["test/images/pack.test.ts", "links lead nowhere"],
    ],
  },
  {
    ids: ["CVE-2025-47291"],
    where: "containerd",
    what: "pods with a user namespace left their cgroup",
    tests: [[request, "stays in its pod's cgroup"]],
  },
  {
    ids: ["CVE-2019-14891"],
    where: "CRI-O",
    what: "the monitor died of the container's want of memory",
    tests: [
      [process, "does not take its shim along"],
      ["test/shim/cgroup.test.ts", "exactly where the spec says"],
    ],
  },
  {
    ids: ["CVE-2022-0532"],
    where: "CRI-O",
    what: "sysctls of a pod with the host's namespaces were set on the host",
    tests: [
      [request, "a sysctl that is"],
      [shim, "of a namespace that is the host's"],
    ],
  },
  {
    ids: ["CVE-2022-0811"],
    where: "CRI-O",
    what: "a + in a sysctl smuggled kernel.core_pattern",
    tests: [
      [request, "a sysctl that is"],
      ["src/oci/sysctls.test.ts", "two in one"],
    ],
  },
  {
    ids: ["CVE-2022-4318"],
    where: "CRI-O",
    what: "a newline in HOME wrote a line of /etc/passwd",
    tests: [
      [request, "control characters are refused"],
      [image, "control characters in HOME"],
    ],
  },
  {
    ids: ["CVE-2023-6476", "CVE-2024-3154"],
    where: "CRI-O",
    what: "annotations lifted limits, set properties of units",
    tests: [[request, "no annotation changes"]],
  },
  {
    ids: ["CVE-2024-5154"],
    where: "CRI-O",
    what: "a symlink of the image made the runtime write on the host",
    tests: [[image, "files and mounts of the runtime stay inside"]],
  },
  {
    ids: ["CVE-2024-8676"],
    where: "CRI-O",
    what: "a restore mounted paths of the host",
    tests: [[request, noCheckpoints]],
  },
  {
    ids: ["CVE-2025-0750"],
    where: "CRI-O",
    what: "paths of logs led to unmounts on the host",
    tests: [[request, "a log stays below its folder"]],
  },
  {
    ids: ["CVE-2025-4437"],
    where: "CRI-O",
    what: "a huge /etc/passwd filled the memory",
    tests: [[image, "an /etc/passwd or /etc/group of many megabytes"]],
  },
  {
    ids: ["CVE-2014-9356", "CVE-2014-9357", "CVE-2014-9358"],
    where: "docker",
    what: "entries and ids of an archive left their folder; a program of it ran",
    tests: [
      ["test/images/import.test.ts", "a layer path outside"],
      [image, "ids and digests that are paths"],
      [unpacker, "works in a world of its own"],
    ],
  },
  {
    ids: ["CVE-2018-15664", "CVE-2019-14271"],
    where: "docker",
    what: "copies out of a container followed its links and loaded its libraries",
    tests: [["test/images/pack.test.ts", "links lead nowhere"]],
    note: "what is copied out is a container's whole tree (commit, export); nothing is copied in",
  },
  {
    ids: ["CVE-2021-21285"],
    where: "docker",
    what: "a malformed manifest ended the daemon",
    tests: [[registry, "bytes that are no JSON"]],
  },
  {
    ids: ["CVE-2020-10749"],
    where: "CNI plugins",
    what: "pods believed router advertisements",
    tests: [["test/cni/reachability.test.ts", "learns no routes"]],
  },
  {
    ids: ["CVE-2021-20206"],
    where: "CNI",
    what: "a plugin's type that is a path ran any program",
    tests: [
      [peer, "a CNI plugin's type that is a path"],
      ["src/cni/conf.test.ts", "not a plugin's name"],
    ],
  },
  {
    ids: ["CVE-2025-67499"],
    where: "CNI portmap",
    what: "a host port was taken on every address, not the host's alone",
    tests: [["test/cni/portmap.test.ts", "CVE-2025-67499"]],
  },
  {
    ids: ["CVE-2020-8558"],
    where: "Kubernetes",
    what: "services of 127.0.0.1 were reached by neighbours",
    tests: [["test/cni/portmap.test.ts", "stays out of pods' reach"]],
  },
  {
    ids: ["CVE-2021-29136"],
    where: "umoci",
    what: "a symlink as a layer's root led out",
    tests: [[unpacker, "a symbolic link as the root"]],
  },
  {
    ids: ["zip bombs"],
    where: "all",
    what: "a small layer with huge contents",
    tests: [
      [registry, "a zip bomb"],
      [registry, "a zstd bomb"],
      [registry, "zeros without end"],
      [unpacker, "a path beyond the limit"],
    ],
  },
  {
    ids: ["stream tokens"],
    where: "Kubernetes",
    what: "addresses of streams could be guessed or used again",
    tests: [
      [peer, "stream tokens"],
      ["test/streaming/bad-input.test.ts", "unknown, used and misdirected tokens"],
      ["src/cri/streaming/tokens.test.ts", "one expires after its minute"],
    ],
  },
];
