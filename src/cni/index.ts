export {
  openPodNetworks,
  type AttachmentEntry,
  type NetworkedPod,
  type PodAddresses,
  type PodNetworks,
  type PodNetworksOptions,
} from "./pod-networks.ts";
export type { NetworkStatus } from "./conf-folder.ts";
export type { CniDns, CniInterface, CniIp, CniResult, CniRoute } from "./result.ts";
