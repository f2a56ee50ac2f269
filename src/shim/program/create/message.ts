import type { SpecHook } from "../../../core/oci-runtime-spec.ts";
import type { ShimFailure } from "../../protocol/messages.ts";

/** What the creator tells the shim, one message each over a SEQPACKET socket. */
export type CreatorMessage =
  /** This cgroup is the container's from now on: the shim removes it in the end, and `parents` if it comes to nothing. */
  | { readonly cgroup: string; readonly parents: readonly string[] }
  /** Init exists, and is to be killed when anything fails. */
  | { readonly init: number }
  | { readonly created: CreatedInit }
  | { readonly error: ShimFailure };

/**
 * A container that waits for its start. With it come descriptors: the pipe that starts init, the pipe that tells of
 * its execve, then the terminal's master, or the ends of stdout, stderr and, where it is open, stdin.
 */
export interface CreatedInit {
  readonly pid: number;
  readonly pidStartTicks: number;
  readonly warnings: readonly string[];
  readonly terminal: boolean;
  /** CLONE_* of the namespaces that an added process enters. */
  readonly namespaces: number;
  readonly personality?: { readonly domain: string; readonly flags?: readonly string[] };
  /** Hooks that the shim runs later. */
  readonly poststart?: readonly SpecHook[];
  readonly poststop?: readonly SpecHook[];
  readonly ociVersion: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Bytes of one message; annotations are most of it. */
export const maxCreatorMessageBytes = 512 * 1024;
