import { RuntimeError } from "../core/errors.ts";

/** What differs between the architectures: system call numbers that libc may have no function for. */
export interface Architecture {
  /** As `uname -m` says. */
  readonly machine: string;
  readonly syscalls: {
    readonly pidfd_open: number;
    readonly pidfd_send_signal: number;
    readonly sched_setattr: number;
  };
}

const x86_64: Architecture = {
  machine: "x86_64",
  syscalls: { pidfd_open: 434, pidfd_send_signal: 424, sched_setattr: 314 },
};

const aarch64: Architecture = {
  machine: "aarch64",
  syscalls: { pidfd_open: 434, pidfd_send_signal: 424, sched_setattr: 274 },
};

const byNodeArch: Readonly<Record<string, Architecture>> = { x64: x86_64, arm64: aarch64 };

/** The table of a Node architecture name; throws `failed-precondition` for one that this project does not know. */
export function architectureOf(nodeArch: string): Architecture {
  const found = byNodeArch[nodeArch];
  if (found === undefined) {
    throw new RuntimeError(
      "failed-precondition",
      `architecture ${nodeArch} is not supported: x64 and arm64 are`,
    );
  }
  return found;
}
