import type { PluginConf } from "./conf.ts";
import type { PodNamespace } from "./pod-namespace.ts";
import type { CniResult } from "./result.ts";

/** The operations that change or look at one attachment (CNI spec 1.1, section 4). */
export type AttachmentCommand = "ADD" | "DEL" | "CHECK";

/** What a plugin is called with, be it built in or executed. */
export interface PluginCall {
  readonly containerId: string;
  /** Path of the pod's network namespace; empty where it is gone, which only DEL accepts. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS: `KEY=value;…`. */
  readonly args: string;
  /** The plugin's configuration with `name`, `cniVersion` and `runtimeConfig` filled in. */
  readonly conf: PluginConf;
  /** What the plugins before gave; in DEL and CHECK the result of ADD. */
  readonly prevResult?: CniResult;
  /** The opened namespace, shared by the chain; absent where it is gone. */
  readonly namespace?: PodNamespace;
  /** Aborts at the deadline. */
  readonly signal: AbortSignal;
  /** Keeps a line with the job. */
  note(text: string): void;
  /** Finds another plugin, such as the one that `ipam.type` names. */
  delegate(type: string): Promise<Plugin>;
  /**
   * In DEL: leaves slow work for after the answer, with a deadline of its own. The attachment's record stays until
   * all of it is done, and a failure is tried again from the start of DEL.
   */
  afterwards(work: (call: PluginCall) => Promise<void>): void;
}

/** An attachment that exists, for GC. */
export interface ValidAttachment {
  readonly containerID: string;
  readonly ifname: string;
}

/** What GC and STATUS are called with. */
export interface NetworkCall {
  readonly conf: PluginConf;
  readonly signal: AbortSignal;
  note(text: string): void;
  delegate(type: string): Promise<Plugin>;
}

/** A CNI plugin. DEL succeeds where there is nothing left to undo. */
export interface Plugin {
  readonly type: string;
  add(call: PluginCall): Promise<CniResult>;
  del(call: PluginCall): Promise<void>;
  check(call: PluginCall): Promise<void>;
  /** Drops what belongs to no valid attachment. */
  gc(call: NetworkCall, valid: readonly ValidAttachment[]): Promise<void>;
  /** Throws where ADD could not succeed now; a plugin without it is as ready as its `ipam` is. */
  status?(call: NetworkCall): Promise<void>;
  /**
   * Brings what pods of the network share in line with its configuration: at start and when the configuration has
   * changed, where the network has pods.
   */
  reconcile?(call: NetworkCall): Promise<void>;
}
