/**
 * A mounted cgroup hierarchy.
 *
 * @see https://man7.org/linux/man-pages/man7/cgroups.7.html
 */
export interface Hierarchy {
  readonly version: 1 | 2;
  /** Where it is mounted on the host. */
  readonly mountPoint: string;
  /** v1: its controllers, or its name such as `name=systemd`; v2: what its root's cgroup.controllers says. */
  readonly controllers: readonly string[];
}

/** All hierarchies of the host, each once, the v2 one last. */
export type Hierarchies = readonly Hierarchy[];

/** Mount options of a v1 hierarchy that are no controllers. */
const otherOptions: readonly string[] = [
  "rw",
  "ro",
  "noprefix",
  "clone_children",
  "cpuset_v2_mode",
  "xattr",
  "favordynmods",
  "seclabel",
];

/**
 * The cgroup mounts among the lines of /proc/self/mountinfo (proc_pid_mountinfo(5)); of several mounts of one
 * hierarchy the first counts. A v2 hierarchy comes with no controllers: mountinfo does not tell.
 */
export function parseHierarchies(mountinfo: string): Hierarchies {
  const found: Hierarchy[] = [];
  let unified: Hierarchy | undefined;
  for (const line of mountinfo.split("\n")) {
    const halves = line.split(" - ");
    const mountPoint = unescapeOctal((halves[0] ?? "").split(" ")[4] ?? "");
    const [type, , options] = (halves[1] ?? "").split(" ");
    if (type === "cgroup2") unified ??= { version: 2, mountPoint, controllers: [] };
    if (type !== "cgroup") continue;
    const controllers = controllersOf(options ?? "");
    const known = found.some((hierarchy) => hierarchy.controllers[0] === controllers[0]);
    if (!known && controllers.length > 0) found.push({ version: 1, mountPoint, controllers });
  }
  if (unified !== undefined) found.push(unified);
  return found;
}

/** The hierarchy that has a controller, if any does. */
export function hierarchyOf(hierarchies: Hierarchies, controller: string): Hierarchy | undefined {
  return hierarchies.find((hierarchy) => hierarchy.controllers.includes(controller));
}

/** The v2 hierarchy, alone or beside v1 ones. */
export function unifiedOf(hierarchies: Hierarchies): Hierarchy | undefined {
  return hierarchies.find((hierarchy) => hierarchy.version === 2);
}

/** True where v2 is all there is, so that limits may be given as its files. */
export function isPureV2(hierarchies: Hierarchies): boolean {
  return hierarchies.length === 1 && hierarchies[0]?.version === 2;
}

function controllersOf(options: string): string[] {
  return options
    .split(",")
    .filter((option) => !otherOptions.includes(option) && !option.startsWith("release_agent="));
}

/** Spaces and the like are written as a backslash and three octal digits. */
function unescapeOctal(text: string): string {
  const parts = text.split("\\");
  let plain = parts[0] ?? "";
  for (let index = 1; index < parts.length; index++) {
    const part = parts[index] ?? "";
    plain = plain + String.fromCharCode(parseInt(part.substring(0, 3), 8)) + part.substring(3);
  }
  return plain;
}
