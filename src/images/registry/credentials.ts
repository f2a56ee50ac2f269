import { RuntimeError } from "../../core/errors.ts";
import { normaliseRegistry } from "../reference.ts";

/** Credentials as a CRI request gives them (AuthConfig); empty strings are absent. */
export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  /** Base64 of `username:password`. */
  readonly auth?: string;
  readonly serverAddress?: string;
  /** An OAuth2 refresh token. */
  readonly identityToken?: string;
  /** A bearer token, sent as it is. */
  readonly registryToken?: string;
}

/** What is sent to one registry, and to the token server that it names. */
export type Credentials =
  | { readonly kind: "none" }
  | { readonly kind: "basic"; readonly username: string; readonly password: string }
  | { readonly kind: "refresh-token"; readonly token: string }
  | { readonly kind: "bearer"; readonly token: string };

/**
 * Reads the request's credentials for `registry`. Those given for another server are left out, and the pull is
 * anonymous, as other runtimes do (CVE-2020-15157, CVE-2021-41092). Throws `invalid-argument`, never naming a secret.
 */
export function readCredentials(auth: RegistryAuth | undefined, registry: string): Credentials {
  if (auth === undefined) return { kind: "none" };
  if (auth.serverAddress && serverHost(auth.serverAddress) !== registry) return { kind: "none" };
  if (auth.registryToken) return { kind: "bearer", token: auth.registryToken };
  if (auth.identityToken) return { kind: "refresh-token", token: auth.identityToken };
  if (auth.username) return { kind: "basic", username: auth.username, password: auth.password ?? "" };
  if (auth.auth) return decodeAuth(auth.auth, registry);
  return { kind: "none" };
}

/** What one host is sent. */
export interface HostCredentials {
  /** Sent at once where it is a bearer token. */
  readonly given: Credentials;
  /** Sent when the host asks for authentication; throws `unauthenticated` where they cannot be had. */
  readonly asked: () => Promise<Credentials>;
}

/** Credentials that the node itself has, by host. */
export interface StoredCredentials {
  of(host: string): Promise<Credentials>;
}

/** A host of a route, as far as credentials are concerned. */
export interface CredentialedHost {
  readonly host: string;
  /** Set for mirrors. */
  readonly mirrorOf?: string;
  readonly capabilities: ReadonlySet<string>;
}

/**
 * Chooses what a host is sent. The registry itself gets what the request has for it, else what the node has. A mirror
 * gets what the request names it for, else what the node has for its name; a name and password that the request gives
 * without a server, as the kubelet does, go to a mirror too, as with containerd, but only to one that is trusted to
 * resolve tags and that asks for them. Tokens never go to a mirror.
 */
export function chooseCredentials(
  endpoint: CredentialedHost,
  registry: string,
  auth: RegistryAuth | undefined,
  stored: StoredCredentials,
): HostCredentials {
  const isMirror = endpoint.mirrorOf !== undefined;
  const name = isMirror ? normaliseRegistry(endpoint.host) : registry;
  const given = isMirror && !auth?.serverAddress ? none : readCredentials(auth, name);
  const choose = async (): Promise<Credentials> => {
    if (given.kind !== "none") return given;
    const found = await stored.of(name);
    if (found.kind !== "none" || !isMirror || auth?.serverAddress) return found;
    const forRegistry = readCredentials(auth, registry);
    return forRegistry.kind === "basic" && endpoint.capabilities.has("resolve") ? forRegistry : none;
  };
  // Layers that are challenged at once ask a helper once.
  const chosen: { credentials?: Promise<Credentials> } = {};
  return { given, asked: () => (chosen.credentials ??= choose()) };
}

const none: Credentials = { kind: "none" };

function decodeAuth(text: string, registry: string): Credentials {
  const decoded = Buffer.from(text, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon < 0) {
    throw new RuntimeError(
      "invalid-argument",
      `the credentials for ${registry} are not base64 of user:password`,
    );
  }
  // Docker pads some with zero bytes.
  const password = decoded.slice(colon + 1).replace(/\0+$/, "");
  return { kind: "basic", username: decoded.slice(0, colon), password };
}

/** The registry of `https://index.docker.io/v1/`, `registry.example:5000/path` and the like. */
export function serverHost(address: string): string {
  const withoutScheme = address.replace(/^[a-z]+:\/\//i, "");
  return normaliseRegistry(withoutScheme.split("/")[0] ?? "");
}
