import { apiRoot, type HostPolicy } from "./hosts.ts";
import { plainTransport, type Transport } from "./transport.ts";

/** What a host may be asked for: blobs and manifests by digest, what a tag means, and to take an image. */
export type Capability = "pull" | "resolve" | "push";

export const allCapabilities: ReadonlySet<Capability> = new Set(["pull", "resolve", "push"]);

/** One server that answers for a registry: the registry itself or a mirror. */
export interface Endpoint {
  /** Host and port, as errors name it. */
  readonly host: string;
  /** Root of its API, such as `https://registry-1.docker.io/v2/`; ends with a slash. */
  readonly root: URL;
  readonly capabilities: ReadonlySet<Capability>;
  /** Sent with every request to this very host, names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** The registry that a mirror stands for, told in the query `ns`; absent for the registry itself. */
  readonly mirrorOf?: string;
  readonly transport: Transport;
}

/** The registry itself, where no file says otherwise. */
export function ownEndpoint(registry: string, policy: HostPolicy): Endpoint {
  const root = apiRoot(registry, policy);
  return { host: root.host, root, capabilities: allCapabilities, headers: {}, transport: plainTransport };
}
