import { RuntimeError } from "../core/errors.ts";
import type { NamespaceOptions } from "../core/namespaces.ts";
import type { PodConfig } from "../core/pod.ts";

type Owner = "ipc" | "network";

/** Sysctls of the IPC namespace that have no prefix in common (ipc_namespaces(7), sysctl(5) of the kernel). */
const ipcNames: ReadonlySet<string> = new Set([
  "kernel.msgmax",
  "kernel.msgmnb",
  "kernel.msgmni",
  "kernel.sem",
  "kernel.shmall",
  "kernel.shmmax",
  "kernel.shmmni",
  "kernel.shm_rmid_forced",
]);

const part = /^[A-Za-z0-9_-][A-Za-z0-9_.@:-]*$/;

/**
 * The pod's sysctls with their names in dotted form. Throws `invalid-argument` naming the field where a sysctl is not of
 * a namespace (CVE-2022-0811), or of one that the pod shares with the node (CVE-2022-0532), or has a control character.
 */
export function checkSysctls(config: PodConfig): Readonly<Record<string, string>> {
  const checked = new Map<string, string>();
  for (const [name, value] of Object.entries(config.sysctls)) {
    const dotted = normalise(name);
    const owner = dotted === undefined ? undefined : ownerOf(dotted);
    if (dotted === undefined || owner === undefined) {
      throw refused(name, "not a sysctl of the network or IPC namespace");
    }
    if (config.security.namespaces[owner] === "node") {
      throw refused(name, `the pod uses the node's ${owner} namespace`);
    }
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) throw refused(name, "its value has a control character");
    if (checked.has(dotted)) throw refused(name, "it is given twice");
    checked.set(dotted, value);
  }
  return Object.fromEntries(checked);
}

/**
 * What is set in the pod's namespaces: the request's sysctls over containerd 2's defaults, which let a process without
 * capabilities bind low ports and send pings.
 */
export function podSysctls(config: PodConfig): Readonly<Record<string, string>> {
  return { ...defaultSysctls(config.security.namespaces), ...checkSysctls(config) };
}

function defaultSysctls(namespaces: NamespaceOptions): Readonly<Record<string, string>> {
  if (namespaces.network === "node") return {};
  return {
    "net.ipv4.ip_unprivileged_port_start": "0",
    // The range names gids that a user namespace does not map: the kernel refuses it there.
    ...(namespaces.user.mode === "node" ? { "net.ipv4.ping_group_range": "0 2147483647" } : {}),
  };
}

/** `net/ipv4/conf/eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding` (sysctl.d(5)): the first separator decides. */
function normalise(name: string): string | undefined {
  const separator = /[./]/.exec(name)?.[0];
  if (separator === undefined) return undefined;
  const pieces = name
    .split(separator)
    .map((piece) => (separator === "/" ? piece : piece.replaceAll("/", ".")));
  if (!pieces.every((piece) => part.test(piece) && !piece.includes(".."))) return undefined;
  return pieces.map((piece) => piece.replaceAll(".", "/")).join(".");
}

function ownerOf(name: string): Owner | undefined {
  if (name.startsWith("net.")) return "network";
  return ipcNames.has(name) || name.startsWith("fs.mqueue.") ? "ipc" : undefined;
}

function refused(name: string, reason: string): RuntimeError {
  return new RuntimeError(
    "invalid-argument",
    `linux.sysctls[${JSON.stringify(name.slice(0, 200))}]: ${reason}`,
  );
}
