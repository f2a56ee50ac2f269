import { capabilityName, knownCapabilities } from "../../program/process/capability-names.ts";
import { jsonArray } from "../../program/json.ts";
import { parseOptions } from "../options.ts";
import { prettyJson } from "../pretty.ts";
import type { Command } from "../settings.ts";
import { ociVersion } from "../default-spec.ts";
import { attributes, propagations, silent } from "../../program/mounts/options.ts";

const seccompActions = ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "TRACE", "TRAP"];
const seccompOperators = ["EQ", "GE", "GT", "LE", "LT", "MASKED_EQ", "NE"];
const seccompArchs = ["AARCH64", "ARM", "X32", "X86", "X86_64"];
const seccompFlags = [
  "SECCOMP_FILTER_FLAG_LOG",
  "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
  "SECCOMP_FILTER_FLAG_TSYNC",
];

function capabilityNames(): string[] {
  const names: string[] = [];
  for (let bit = 0; bit < knownCapabilities; bit++) names.push(capabilityName(bit));
  return names;
}

/** All words but those that are for a file system. */
function mountOptions(): string[] {
  const words = ["bind", "rbind", "idmap", "ridmap"];
  for (const [word] of pairs(silent)) words.push(word);
  for (const table of [attributes, propagations]) {
    for (const [word] of pairs(table as Readonly<Record<string, unknown>>)) words.push(word, `r${word}`);
  }
  return words.sort();
}

/** `features`: what this runtime can do, as the runtime spec's features.md has it. */
export const features: Command = ({ version }, words) => {
  parseOptions(words, {});
  const yes = { enabled: true };
  const no = { enabled: false };
  io.write(
    prettyJson(
      {
        ociVersionMin: "1.0.0",
        ociVersionMax: ociVersion,
        hooks: ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        mountOptions: mountOptions(),
        linux: {
          namespaces: ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
          capabilities: capabilityNames(),
          cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
          seccomp: {
            enabled: true,
            actions: seccompActions.map((name) => `SCMP_ACT_${name}`),
            operators: seccompOperators.map((name) => `SCMP_CMP_${name}`),
            archs: seccompArchs.map((name) => `SCMP_ARCH_${name}`),
            knownFlags: seccompFlags,
            supportedFlags: seccompFlags,
          },
          apparmor: yes,
          selinux: yes,
          intelRdt: no,
          netDevices: no,
          mountExtensions: { idmap: yes },
        },
        annotations: { "io.berth.version": version() },
        potentiallyUnsafeConfigAnnotations: jsonArray([]),
      },
      ["ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux"],
    ),
  );
  return 0;
};
