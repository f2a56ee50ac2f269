/** How registries are reached, from the operator's config. */
export interface HostPolicy {
  /** Hosts (or host:port) besides loopback that are spoken to without TLS. */
  readonly insecureRegistries: readonly string[];
}

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** True where plain http is used: on loopback, which no other machine can listen to, and where configured. */
export function isPlainHttp(host: string, policy: HostPolicy): boolean {
  return loopback.test(host) || policy.insecureRegistries.includes(host);
}

/** The root of a registry's API, such as `https://registry-1.docker.io/v2/`. */
export function apiRoot(registry: string, policy: HostPolicy): URL {
  const host = registry === "docker.io" ? "registry-1.docker.io" : registry;
  return new URL(`${isPlainHttp(registry, policy) ? "http" : "https"}://${host}/v2/`);
}

/**
 * True where a server that was reached through `from` may send us on to `to`: never from TLS to plain http, and to
 * plain http only where it is configured or `from` itself is.
 */
export function mayFollow(from: URL, to: URL, policy: HostPolicy): boolean {
  if (to.protocol === "https:") return true;
  if (to.protocol !== "http:" || from.protocol !== "http:") return false;
  return to.host === from.host || isPlainHttp(to.host, policy);
}
