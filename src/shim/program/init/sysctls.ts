import type { SpecLinux, SpecNamespace } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../ffi/error.ts";
import { writeProc } from "../process/procfs.ts";
import { namespaceOf } from "../spec/read-spec.ts";

const ipcNames: Readonly<Record<string, true>> = {
  "kernel/msgmax": true,
  "kernel/msgmnb": true,
  "kernel/msgmni": true,
  "kernel/sem": true,
  "kernel/shmall": true,
  "kernel/shmmax": true,
  "kernel/shmmni": true,
  "kernel/shm_rmid_forced": true,
};

/** Which namespace a sysctl belongs to; `undefined` for one of the whole machine. `name` has slashes. */
export function namespaceOfSysctl(name: string): SpecNamespace["type"] | undefined {
  if (string.sub(name, 1, 4) === "net/") return "network";
  if (ipcNames[name] === true || string.sub(name, 1, 10) === "fs/mqueue/") return "ipc";
  return name === "kernel/domainname" ? "uts" : undefined;
}

/** `net.ipv4.ip_forward` as a path below /proc/sys; a name with slashes keeps its dots (interface names hold some). */
export function sysctlPath(name: string): string {
  const [slash] = string.find(name, "/", 1, true);
  const path = slash === undefined ? string.gsub(name, "%.", "/")[0] : name;
  const [odd] = string.find(path, "[^%w_%-%./@:]");
  const [up] = string.find(`/${path}/`, "/%.*/");
  if (odd !== undefined || up !== undefined) throw failure("invalid-argument", `sysctl ${name}: not a name`);
  return path;
}

/** Sets sysctls through a verified procfs; only in namespaces that are new here, never the host's (CVE-2022-0532). */
export function setSysctls(procfs: number, linux: SpecLinux): void {
  for (const [name, value] of pairs(linux.sysctl ?? {})) {
    const path = sysctlPath(name);
    const kind = namespaceOfSysctl(path);
    const namespace = kind === undefined ? undefined : namespaceOf(linux, kind);
    if (namespace === undefined || namespace.path !== undefined) {
      const why =
        kind === undefined
          ? "is not of a namespace"
          : `is of the ${kind} namespace, which is not the container's own`;
      throw failure("invalid-argument", `linux.sysctl: ${name} ${why}`);
    }
    writeProc(procfs, `sys/${path}`, value);
  }
}
