export {
  openImages,
  type CommitContainerRequest,
  type FilesystemUsage,
  type ImageStore,
  type ImageStoreSettings,
} from "./image-store.ts";
export type { PushRequest } from "./push.ts";
export type { SearchRequest, SearchResult } from "./search.ts";
export type { PullRequest, PullResult } from "./pull.ts";
export type { RegistryAuth } from "./registry/credentials.ts";
export type { ImportRequest } from "./archive/import.ts";
export type { RootfsRequest } from "./archive/new-image.ts";
export type { HostImageRequest } from "./host/from-host.ts";
export type { CheckReport } from "./check.ts";
export type { StoreUsage } from "./usage.ts";
export type { Owners } from "./pack.ts";
export type { Snapshot, WritableLayer } from "./snapshots.ts";
export { formatReference, nameOf, parseReference, type ImageRef } from "./reference.ts";
export { hostPlatform, type Platform } from "./platform.ts";
