import type { SpecHook, SpecHooks } from "../core/oci-runtime-spec.ts";

/** A device node of a container; what is absent is that of the host's node. */
export interface DeviceEdit {
  /** Where it is in the container. */
  readonly path: string;
  /** Where it is on the host; {@link path} where absent. */
  readonly hostPath?: string;
  readonly type?: "b" | "c" | "u" | "p";
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  /** Of `rwm`; empty is no rule for the device cgroup. */
  readonly permissions: string;
  readonly uid?: number;
  readonly gid?: number;
}

export interface MountEdit {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly type?: string;
  readonly options: readonly string[];
}

export interface HookEdit {
  readonly when: keyof SpecHooks;
  readonly hook: SpecHook;
}

/** What a device, or any device of a spec file, changes of a container (CDI's SPEC.md, "OCI Edits"). */
export interface Edits {
  /** `NAME=value`. */
  readonly env: readonly string[];
  readonly devices: readonly DeviceEdit[];
  readonly mounts: readonly MountEdit[];
  readonly hooks: readonly HookEdit[];
  readonly additionalGids: readonly number[];
  /** Edits that the format has and this runtime does not: asking for a device with one of them is an error. */
  readonly unsupported: readonly string[];
}

/** One after the other, each list appended. */
export function joinEdits(all: readonly Edits[]): Edits {
  return {
    env: all.flatMap(({ env }) => env),
    devices: all.flatMap(({ devices }) => devices),
    mounts: all.flatMap(({ mounts }) => mounts),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: all.flatMap(({ additionalGids }) => additionalGids),
    unsupported: all.flatMap(({ unsupported }) => unsupported),
  };
}
