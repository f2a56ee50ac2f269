export {
  openPodNetworks,
  type AttachmentEntry,
  type PodNetworks,
  type PodNetworksOptions,
} from "./pod-networks.ts";
export type { PodAddresses } from "./attachments.ts";
export type { AdditionalNetworks, NetworkedPod } from "./plan.ts";
export type { NetworkStatusEntry } from "./network-status.ts";
export type { NetworkStatus } from "./conf-folder.ts";
export type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from "./result.ts";
