export {
  openPodNetworks,
  type AttachmentEntry,
  type PodNetworks,
  type PodNetworksOptions,
} from "./pod-networks.ts";
export type { NetworkedPod, PodAddresses } from "./attachments.ts";
export type { NetworkStatus } from "./conf-folder.ts";
export type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from "./result.ts";
