import {
  chooseCredentials,
  readCredentials,
  type RegistryAuth,
  type StoredCredentials,
} from "./credentials.ts";
import type { HostPolicy } from "./hosts.ts";
import type { Http } from "./http.ts";
import type { Mirrors } from "./mirrors.ts";
import type { SessionTarget } from "./session.ts";

/** What everything that speaks with registries shares. */
export interface RegistryContext {
  readonly http: Http;
  readonly policy: HostPolicy;
  readonly mirrors: Mirrors;
  readonly stored: StoredCredentials;
}

/** For whom a registry is asked, and where remarks go. */
export interface Access {
  readonly auth?: RegistryAuth;
  readonly note: (text: string) => void;
}

/** The hosts that answer for a repository, and what each is sent; the hosts file is looked at anew. */
export async function reachRepository(
  context: RegistryContext,
  { auth, note }: Access,
  { registry, repository }: { readonly registry: string; readonly repository: string },
): Promise<SessionTarget> {
  if (auth?.serverAddress && readCredentials(auth, registry).kind === "none") {
    note(`the credentials given are for another server or empty: ${registry} is not sent them`);
  }
  const route = await context.mirrors.routeOf(registry);
  for (const warning of route.warnings) note(warning);
  return {
    http: context.http,
    policy: context.policy,
    registry,
    repository,
    route,
    credentialsOf: (endpoint) => chooseCredentials(endpoint, registry, auth, context.stored),
    note,
  };
}
