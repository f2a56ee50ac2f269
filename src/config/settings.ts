import { RuntimeError } from "../core/errors.ts";

/** One thing an operator can set: its key in the file, its flag, how it is read, and what it is for. */
export interface Setting<T> {
  /** Dotted key in config.toml; the flag is the same with dashes. */
  readonly key: string;
  readonly fallback: T;
  readonly doc: string;
  /** Word for the value in --help. */
  readonly placeholder: string;
  /** Reads a value of the file (a TOML value) or of a flag (a string); throws `invalid-argument`. */
  readonly read: (value: unknown) => T;
}

function fail(key: string, expected: string, value: unknown): never {
  throw new RuntimeError("invalid-argument", `${key}: ${expected}, not ${JSON.stringify(value)}`);
}

function path(key: string, fallback: string, doc: string): Setting<string> {
  const read = (value: unknown): string =>
    typeof value === "string" && value.startsWith("/") && !value.includes("\0")
      ? value
      : fail(key, "expected an absolute path", value);
  return { key, fallback, doc, placeholder: "PATH", read };
}

/** A path, or "" for none. */
function optionalPath(key: string, doc: string): Setting<string> {
  const { read } = path(key, "", doc);
  return { key, fallback: "", doc, placeholder: "PATH", read: (value) => (value === "" ? "" : read(value)) };
}

function text(key: string, fallback: string, doc: string, placeholder = "TEXT"): Setting<string> {
  const read = (value: unknown): string =>
    typeof value === "string" ? value : fail(key, "expected a text", value);
  return { key, fallback, doc, placeholder, read };
}

function choice<const C extends string>(
  key: string,
  choices: readonly C[],
  fallback: C,
  doc: string,
): Setting<C> {
  const read = (value: unknown): C =>
    choices.find((candidate) => candidate === value) ?? fail(key, `expected ${choices.join(" or ")}`, value);
  return { key, fallback, doc, placeholder: choices.join("|"), read };
}

function list(key: string, fallback: readonly string[], doc: string): Setting<readonly string[]> {
  const read = (value: unknown): readonly string[] => {
    const items: unknown[] =
      typeof value === "string"
        ? value.split(",").filter((item) => item !== "")
        : Array.isArray(value)
          ? value
          : fail(key, "expected a list", value);
    return items.map((item) =>
      typeof item === "string" ? item : fail(key, "expected a list of texts", item),
    );
  };
  return { key, fallback, doc, placeholder: "A,B", read };
}

function whole(
  key: string,
  fallback: number,
  least: number,
  most: number,
  doc: string,
  besides = "",
): Setting<number> {
  const read = (value: unknown): number => {
    const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
    return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
      ? number
      : fail(key, `expected ${besides}a whole number from ${least} to ${most}`, value);
  };
  return { key, fallback, doc, placeholder: "N", read };
}

/** A whole number, or 0 for none. */
function wholeOrNone(
  key: string,
  fallback: number,
  least: number,
  most: number,
  doc: string,
): Setting<number> {
  const { read, ...setting } = whole(key, fallback, least, most, doc, "0 for none, or ");
  return { ...setting, read: (value) => (value === 0 || value === "0" ? 0 : read(value)) };
}

/** Every setting, in the order that --help and docs/config.md show. */
export const settings = {
  root: path(
    "root",
    "/var/lib/berth",
    "Images, layers, writable layers and the store: what outlives a reboot.",
  ),
  state: path("state", "/run/berth", "Sockets, bundles and pins: what does not outlive a reboot. A tmpfs."),
  socket: path(
    "socket",
    "/run/berth/berth.sock",
    "Where the CRI and the admin service are served, mode 0660.",
  ),
  socketGroup: text(
    "socket_group",
    "",
    "Group that may use the socket besides root; empty is root alone.",
    "GROUP",
  ),
  logLevel: choice(
    "log_level",
    ["error", "warn", "info", "debug"],
    "info",
    "Least severe lines that are written.",
  ),
  logFormat: choice("log_format", ["text", "json"], "text", "How lines on standard error look."),
  cgroupParent: path("cgroup_parent", "/berth", "Parent cgroup of a pod that names none."),
  luajit: path("luajit", "/usr/bin/luajit", "The interpreter that launcher, shims and the unpacker run on."),
  cniConfDir: path(
    "cni.conf_dir",
    "/etc/cni/net.d",
    "Folder of CNI network lists; the first by name is used.",
  ),
  cniBinDirs: list(
    "cni.bin_dirs",
    ["/opt/cni/bin"],
    "Folders searched for CNI plugins that are not built in.",
  ),
  cniTimeoutMs: whole(
    "cni.timeout_ms",
    60_000,
    100,
    600_000,
    "Deadline of one network set-up or teardown, in milliseconds.",
  ),
  cniAdditionalNetworks: choice(
    "cni.additional_networks",
    ["off", "annotation"],
    "off",
    "Whether a pod may ask for more of the folder's networks by the annotation k8s.v1.cni.cncf.io/networks.",
  ),
  cdiSpecDirs: list(
    "cdi_spec_dirs",
    ["/etc/cdi", "/var/run/cdi"],
    "Folders of device descriptions (Container Device Interface), looked at when a container asks for devices; a later " +
      "one wins. Only files that root alone may write are used.",
  ),
  hooksDirs: list(
    "hooks_dirs",
    [],
    "Folders of hooks for containers (oci-hooks(5), 1.0.0), looked at when one is made; a later one wins. A file that cannot be " +
      "used, or that others than root may write, fails the container.",
  ),
  unclaimedTimeoutMs: whole(
    "unclaimed_timeout_ms",
    120_000,
    100,
    3_600_000,
    "How long a pod or container whose request gave up before it was made waits for the same request again; then it is " +
      "removed. In milliseconds.",
  ),
  insecureRegistries: list(
    "images.insecure_registries",
    [],
    "Registries (host or host:port) spoken to without TLS, besides those on loopback.",
  ),
  certsDir: path(
    "images.certs_dir",
    "/etc/berth/certs.d",
    "Folder of mirrors and certificates by registry, as containerd's certs.d (HOST/hosts.toml); read at every pull.",
  ),
  dockerConfig: optionalPath(
    "images.docker_config",
    "Docker's config.json whose credentials and helpers serve pulls that bring none; empty is no such file. " +
      "They open private images to every pod of the node.",
  ),
  signaturePolicy: optionalPath(
    "images.signature_policy",
    "File that says which images may be pulled, and whose signature they need (docs/registries.md); read at every pull, " +
      "and none is pulled while it cannot be read. Empty is no such file: every image may be.",
  ),
  stallTimeoutMs: whole(
    "images.stall_timeout_ms",
    30_000,
    1_000,
    3_600_000,
    "Milliseconds without a byte from a registry, or to it, after which a try is given up and made again.",
  ),
  pinnedImages: list(
    "images.pinned",
    [],
    "Image references, `*` allowed, that garbage collection never removes.",
  ),
  snapshotter: choice(
    "images.snapshotter",
    ["auto", "overlay", "copy"],
    "auto",
    "How a container gets a root of its own: overlay mounts its image's layers and what it writes as one tree, copy gives it " +
      "a copy of the whole tree, which takes longer and as much disk again for each container (reflinks, where the file " +
      "system has them, save both); auto is overlay where it works below the root folder, else copy. `berth info --all` " +
      "says which. Containers that exist keep what they have.",
  ),
  keepBlobs: choice(
    "images.keep_blobs",
    ["local", "all"],
    "local",
    "Compressed layers that stay on disk beside their trees: local keeps those that no registry can send again " +
      "(imported, committed, made from the host), all keeps every one, for as much more disk as `berth images` says " +
      "that an image has. What is not kept is fetched again by digest where it is needed.",
  ),
  maxLayerBytes: whole(
    "images.max_layer_bytes",
    64 * 1024 ** 3,
    1024,
    Number.MAX_SAFE_INTEGER,
    "Most bytes that one layer may unpack to.",
  ),
  maxLogLineBytes: whole(
    "max_log_line_bytes",
    16_384,
    1024,
    64_000,
    "A longer line of a container's log is split and tagged P.",
  ),
  maxLogBytes: wholeOrNone(
    "max_log_bytes_between_rotations",
    2 * 1024 ** 3,
    1024 ** 2,
    Number.MAX_SAFE_INTEGER,
    "Length of a container's log beyond which its lines are dropped, counted and the count said in the log, until it is " +
      "rotated (ReopenContainerLog) or cut short; 0 is none. The kubelet looks every 10 s whether a log is to be " +
      "rotated, and the default is four times what a container writes meanwhile at 50 MB/s: reached only where nobody rotates.",
  ),
  seccompProfile: text(
    "seccomp_profile",
    "",
    "File with the profile that RuntimeDefault means; empty is the built-in one.",
    "PATH",
  ),
} as const;

/** What is in force: one value a setting, never changed after start. */
export type Config = {
  readonly [K in keyof typeof settings]: (typeof settings)[K] extends Setting<infer T> ? T : never;
};

/** The flag of a setting: `cni.conf_dir` is `--cni-conf-dir`. */
export function flagOf(setting: { readonly key: string }): string {
  return `--${setting.key.replaceAll(/[._]/g, "-")}`;
}
