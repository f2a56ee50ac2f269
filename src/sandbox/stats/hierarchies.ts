/** Where the host's cgroup hierarchies are mounted. */
export interface Hierarchies {
  /** v1 controllers by name, such as `memory`; empty where v2 is all there is. */
  readonly v1: ReadonlyMap<string, string>;
  /** The v2 hierarchy: with controllers where `v1` is empty, else for pressure alone. */
  readonly unified?: string;
}

/**
 * The cgroup mounts among the lines of /proc/self/mountinfo; of several mounts of one hierarchy the first counts, as in
 * the shim, which makes the cgroups.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
 */
export function parseHierarchies(mountinfo: string): Hierarchies {
  const v1 = new Map<string, string>();
  let unified: string | undefined;
  for (const line of mountinfo.split("\n")) {
    const [place = "", rest = ""] = line.split(" - ");
    const mountPoint = unescapeOctal(place.split(" ")[4] ?? "");
    const [type, , options = ""] = rest.split(" ");
    if (type === "cgroup2") unified ??= mountPoint;
    if (type !== "cgroup") continue;
    for (const option of options.split(",")) if (!v1.has(option)) v1.set(option, mountPoint);
  }
  return { v1, ...(unified === undefined ? {} : { unified }) };
}

/** The folder of a cgroup for one controller; undefined where the host has none. `unified` names v2 itself. */
export function folderOf(hierarchies: Hierarchies, controller: string, path: string): string | undefined {
  const { v1, unified } = hierarchies;
  const mountPoint = controller === "unified" ? unified : v1.get(controller);
  return mountPoint === undefined ? undefined : mountPoint + path;
}

/** True where v2 has the controllers. */
export function isPureV2(hierarchies: Hierarchies): boolean {
  return hierarchies.unified !== undefined && !hierarchies.v1.has("memory") && !hierarchies.v1.has("cpuacct");
}

/** Where a file system comes from: the source of the mount that holds a path, such as `/dev/vda1`. */
export function deviceOf(mountinfo: string, path: string): string {
  let longest = "";
  let device = "";
  for (const line of mountinfo.split("\n")) {
    const [place = "", rest = ""] = line.split(" - ");
    const mountPoint = unescapeOctal(place.split(" ")[4] ?? "");
    const holds = mountPoint === "/" || path === mountPoint || path.startsWith(`${mountPoint}/`);
    // A later mount on the same place hides the one before.
    if (mountPoint !== "" && holds && mountPoint.length >= longest.length) {
      longest = mountPoint;
      device = unescapeOctal(rest.split(" ")[1] ?? "");
    }
  }
  return device;
}

/** Spaces and the like are written as a backslash and three octal digits. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}
