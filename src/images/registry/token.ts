import { RuntimeError } from "../../core/errors.ts";
import type { Challenge } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { describeBody, statusError } from "./failure.ts";
import { mayFollow, type HostPolicy } from "./hosts.ts";
import { readErrorText, readSmall, type Http } from "./http.ts";

const maxTokenBytes = 64 * 1024;

/** What is needed to ask for a token. */
export interface TokenRequest {
  readonly http: Http;
  readonly policy: HostPolicy;
  /** The host that sent the challenge. */
  readonly endpoint: Endpoint;
  /** What the token is for, where the challenge does not say: `repository:library/busybox:pull`. */
  readonly scope: string;
  readonly challenge: Challenge;
  readonly credentials: Credentials;
  readonly signal: AbortSignal;
}

/**
 * Gets a bearer token from the server that the registry's challenge names (distribution spec, token authentication).
 * That server gets the credentials, as the protocol has it; it is never reached by plain http from a registry with
 * TLS, and its redirects are not followed. Throws `unauthenticated`, or by the server's status.
 */
export async function fetchToken(asked: TokenRequest): Promise<string> {
  const realm = readRealm(asked);
  const what = `token for ${asked.scope}`;
  const post = asked.credentials.kind === "refresh-token";
  const { headers, transport, root } = asked.endpoint;
  const answer = await asked.http.send(post ? realm : withQuery(realm, asked), {
    method: post ? "POST" : "GET",
    headers: {
      ...(realm.origin === root.origin ? headers : {}),
      ...(post ? { "content-type": "application/x-www-form-urlencoded" } : basicHeader(asked.credentials)),
    },
    ...(post ? { body: refreshForm(asked).toString() } : {}),
    transport,
    signal: asked.signal,
  });
  if (answer.statusCode !== 200) {
    throw statusError(what, realm.host, answer.statusCode, describeBody(await readErrorText(answer)));
  }
  const text = (await readSmall(answer, maxTokenBytes, what)).toString("utf8");
  const token = readToken(text);
  if (token === undefined)
    throw new RuntimeError("unauthenticated", `${what}: ${realm.host} answered without a token`);
  return token;
}

function readRealm({ challenge, endpoint, policy }: TokenRequest): URL {
  const text = challenge.parameters["realm"] ?? "";
  const realm = URL.parse(text);
  if (realm === null || realm.username !== "" || !mayFollow(endpoint.root, realm, policy)) {
    throw new RuntimeError(
      "unauthenticated",
      `${endpoint.host} names a token server that is not acceptable: ${JSON.stringify(text.slice(0, 200))}`,
    );
  }
  return realm;
}

function scopeOf({ challenge, scope }: TokenRequest): string {
  return challenge.parameters["scope"] ?? scope;
}

function withQuery(realm: URL, asked: TokenRequest): URL {
  const url = new URL(realm);
  const service = asked.challenge.parameters["service"];
  if (service !== undefined) url.searchParams.set("service", service);
  url.searchParams.set("scope", scopeOf(asked));
  return url;
}

function refreshForm(asked: TokenRequest): URLSearchParams {
  const token = asked.credentials.kind === "refresh-token" ? asked.credentials.token : "";
  const service = asked.challenge.parameters["service"] ?? asked.endpoint.host;
  return new URLSearchParams({
    grant_type: "refresh_token",
    refresh_token: token,
    service,
    scope: scopeOf(asked),
    client_id: "berth",
  });
}

/** The header of basic authentication (RFC 7617); empty for other credentials. */
export function basicHeader(credentials: Credentials): Record<string, string> {
  if (credentials.kind !== "basic") return {};
  const pair = Buffer.from(`${credentials.username}:${credentials.password}`, "utf8").toString("base64");
  return { authorization: `Basic ${pair}` };
}

function readToken(text: string): string | undefined {
  try {
    const { token, access_token: access } = JSON.parse(text) as Record<string, unknown>;
    const found = token ?? access;
    return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
