import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** What a program can leave behind on a machine, by kind; each thing is a line for people. */
export type Machine = Readonly<Record<Kind, readonly string[]>>;

type Kind = keyof typeof readers;

const readers = {
  mounts: readMounts,
  cgroups: readCgroups,
  "network namespaces": readNetworkNamespaces,
  links: () => linesOf("ip", ["-oneline", "link", "show"]).map(linkName),
  "nft tables": () => linesOf("nft", ["list", "tables"]),
  processes: readProcesses,
  files: readFiles,
};

/** Folders of which every entry counts. */
const watchedFolders = [
  "/run",
  "/run/netns",
  "/run/berth",
  "/var/lib/berth",
  "/var/lib/cni",
  "/opt/cni",
  "/etc/cni",
];

/** Looks at the machine as this process sees it: its namespaces, and the cgroups of all. */
export function readMachine(): Machine {
  return Object.fromEntries(
    Object.entries(readers).map(([kind, read]) => [kind, read()] as const),
  ) as unknown as Machine;
}

/** What is there now and was not before, `kind: thing`; a thing that is there twice counts twice. */
export function appeared(before: Machine, now: Machine): readonly string[] {
  return (Object.keys(readers) as Kind[]).flatMap((kind) => {
    const known = [...before[kind]];
    return now[kind]
      .filter((thing) => {
        const index = known.indexOf(thing);
        if (index >= 0) known.splice(index, 1);
        return index < 0;
      })
      .map((thing) => `${kind}: ${thing}`);
  });
}

/** proc_pid_mountinfo(5): mount point, type and source; numbers differ from mount to mount. */
function readMounts(): string[] {
  return linesOfFile("/proc/self/mountinfo").map((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [type, source] = right.split(" ");
    return `${left.split(" ")[4] ?? ""} (${type ?? ""} of ${source ?? ""})`;
  });
}

/** Folders that stay as long as a daemon is installed, whatever it runs; what is in them does not. */
const lastingCgroups = /^\/sys\/fs\/cgroup\/([a-z_,=]+\/)?(berth-shims(\/launcher)?|berth-test)$/;

/** A daemon always has a shim forked ahead, in a cgroup with a number of its own. */
const spareLeaf = /\/berth-shims\/shim-\d+$/;

/** Every cgroup that no process outside of this PID namespace lives in or below: those belong to somebody else. */
function readCgroups(): string[] {
  const root = "/sys/fs/cgroup";
  return hierarchies(root).flatMap((hierarchy) =>
    childrenOf(hierarchy)
      .filter((cgroup) => !holdsForeignProcess(cgroup))
      .flatMap((cgroup) => [cgroup, ...descendantsOf(cgroup)])
      .filter((cgroup) => !lastingCgroups.test(cgroup))
      .map((cgroup) => cgroup.replace(spareLeaf, "/berth-shims/shim")),
  );
}

function hierarchies(root: string): string[] {
  return existsSync(join(root, "cgroup.controllers")) ? [root] : childrenOf(root);
}

function childrenOf(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    return []; // Gone since its parent was read.
  }
}

function descendantsOf(folder: string): string[] {
  return childrenOf(folder).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** cgroup.procs shows 0 for a process that has no number in the reader's PID namespace (cgroups(7)). */
function holdsForeignProcess(cgroup: string): boolean {
  return [cgroup, ...descendantsOf(cgroup)].some((folder) =>
    linesOfFile(join(folder, "cgroup.procs")).includes("0"),
  );
}

/** Of all processes that are to be seen; one that is only pinned is among the mounts. */
function readNetworkNamespaces(): string[] {
  const links = processIds().map((pid) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/net`);
    } catch {
      return ""; // It has ended.
    }
  });
  return [...new Set(links)].filter((link) => link !== "");
}

function readProcesses(): string[] {
  return processIds()
    .filter((pid) => pid !== process.pid)
    .map((pid) => [pid, commandLine(pid)] as const)
    .filter(([, command]) => command !== "")
    .map(([pid, command]) => `${pid} ${command}`);
}

function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Kernel threads and zombies have none. */
function commandLine(pid: number): string {
  return linesOfFile(`/proc/${pid}/cmdline`).join(" ").replaceAll("\0", " ").trim();
}

function readFiles(): string[] {
  const own = process.env["TMPDIR"];
  return [...watchedFolders, ...(own === undefined ? [] : [own])].flatMap((folder) => {
    try {
      return readdirSync(folder).map((name) => join(folder, name));
    } catch {
      return [];
    }
  });
}

/** `2: eth0@if3: <BROADCAST...` is eth0. */
function linkName(line: string): string {
  return line.replace(/^\d+: /, "").replace(/[@:].*$/, "");
}

function linesOf(command: string, args: readonly string[]): string[] {
  return split(execFileSync(command, [...args], { encoding: "utf8" }));
}

function linesOfFile(path: string): string[] {
  try {
    return split(readFileSync(path, "utf8"));
  } catch {
    return []; // Gone since it was listed.
  }
}

function split(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
