import type { IpPrefix } from "../ip.ts";
import type { NetworkCall, PluginCall, ValidAttachment } from "../plugin.ts";
import type { PortmapConf } from "./conf.ts";

/** A way to write the rules that lead ports of the host to pods. */
export interface PortMapper {
  /** Adds a pod's ports: all of them or none. One that another pod has throws `already-exists`. */
  add(call: PluginCall, conf: PortmapConf, pods: readonly IpPrefix[]): Promise<void>;
  /** Removes whatever an attachment has; nothing is fine. Asks for no more than the network's name. */
  remove(call: PluginCall, network: string): Promise<void>;
  /** Throws `failed-precondition` where a rule is missing. */
  check(call: PluginCall, conf: PortmapConf, pods: readonly IpPrefix[]): Promise<void>;
  /** Removes what belongs to none of these attachments. */
  gc(call: NetworkCall, network: string, valid: readonly ValidAttachment[]): Promise<void>;
}
