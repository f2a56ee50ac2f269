import { RuntimeError } from "../../core/errors.ts";
import { parseChallenges } from "./challenge.ts";
import type { HostCredentials } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { aborted, describeBody, statusError, unreachable } from "./failure.ts";
import { mayFollow, type HostPolicy } from "./hosts.ts";
import { readErrorText, type Answer, type Http, type Method } from "./http.ts";
import {
  AskedToWait,
  backoffMs,
  isConnectTimeout,
  isTransient,
  maxAttempts,
  pause,
  retryAfterMs,
} from "./retry.ts";
import { basicHeader, fetchToken } from "./token.ts";
import { withoutClient } from "./transport.ts";
import type { UploadBody } from "./upload-body.ts";

const maxRedirects = 5;
/** Answers of 401 within one request: the first asks for credentials, the second may be an expired token. */
const maxChallenges = 2;

/** One host with one caller's credentials; tokens are kept for its lifetime and not shared. */
export interface HostSession {
  readonly endpoint: Endpoint;
  /**
   * Sends to a path below `<root>/<repository>/`, or to a URL that the host itself gave. What is neither 2xx nor
   * among `passes` is thrown, naming `what`.
   */
  send(target: string | URL, request: HostRequest): Promise<HostAnswer>;
}

/** An answer, and the URL that gave it after redirects. */
export interface HostAnswer {
  readonly answer: Answer;
  readonly sender: URL;
}

export interface HostRequest {
  /** Begins the text of errors, such as `layer sha256:… of registry/name:tag`. */
  readonly what: string;
  /** GET where absent. */
  readonly method?: Method;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: UploadBody;
  /** Statuses besides 2xx that are handed back. */
  readonly passes?: readonly number[];
  /** Tries before a failure that may pass is final: fewer where another host can be asked. */
  readonly attempts: number;
  readonly signal: AbortSignal;
}

/** Where and as whom. */
export interface HostTarget {
  readonly http: Http;
  readonly policy: HostPolicy;
  readonly endpoint: Endpoint;
  readonly repository: string;
  /** What tokens are asked for where the host does not say. */
  readonly scope: string;
  readonly credentials: HostCredentials;
}

/** Opens a session; nothing is sent before the first get. */
export function openHostSession(target: HostTarget): HostSession {
  const { endpoint } = target;
  const { host } = endpoint;
  const { given } = target.credentials;
  const state: { authorization?: string } =
    given.kind === "bearer" ? { authorization: `Bearer ${given.token}` } : {};

  /** Answers a 401 with what its challenge asks for; throws where there is nothing to answer with. */
  const authenticate = async (answer: Answer, options: HostRequest): Promise<void> => {
    const header = answer.headers["www-authenticate"];
    const challenges = parseChallenges(Array.isArray(header) ? header.join(", ") : (header ?? ""));
    const detail = describeBody(await readErrorText(answer));
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    const basic = challenges.find((challenge) => challenge.scheme === "basic");
    const credentials = bearer || basic ? await target.credentials.asked() : given;
    if (bearer !== undefined && credentials.kind !== "bearer") {
      const { signal } = options;
      const token = await fetchToken({ ...target, credentials, challenge: bearer, signal });
      state.authorization = `Bearer ${token}`;
    } else if (bearer !== undefined && credentials.kind === "bearer" && given.kind !== "bearer") {
      state.authorization = `Bearer ${credentials.token}`;
    } else if (basic !== undefined && credentials.kind === "basic") {
      state.authorization = basicHeader(credentials)["authorization"] ?? "";
    } else {
      throw statusError(options.what, host, 401, detail);
    }
  };

  const attempt = async (url: URL, options: HostRequest): Promise<HostAnswer> => {
    for (let challenges = 0; ; challenges++) {
      const { answer, sender } = await follow(target, url, state.authorization, options);
      if (answer.statusCode !== 401) return { answer, sender };
      // The challenge of a host that we were sent to could name a token server of its own (CVE-2020-15157).
      if (sender.origin !== endpoint.root.origin || challenges === maxChallenges) {
        throw statusError(options.what, sender.host, 401, describeBody(await readErrorText(answer)));
      }
      await authenticate(answer, options);
    }
  };

  return {
    endpoint,
    send: async (to, options) => {
      const url = urlOf(target, to, options);
      for (let tried = 1; ; tried++) {
        const reply = await translate(target, options, tried, () => attempt(url, options));
        if (reply === undefined) {
          await waitOrAbort(backoffMs(tried, Math.random()), options);
          continue;
        }
        const { statusCode } = reply.answer;
        if ((statusCode >= 200 && statusCode < 300) || options.passes?.includes(statusCode)) return reply;
        await waitOrThrow(host, options, tried, reply.answer);
      }
    },
  };
}

/** The URL of a path; one that the host gave has to be one that it may redirect to. */
function urlOf({ endpoint, policy, repository }: HostTarget, to: string | URL, { what }: HostRequest): URL {
  const url = typeof to === "string" ? new URL(`${repository}/${to}`, endpoint.root) : new URL(to);
  if (!mayFollow(endpoint.root, url, policy)) throw notFollowed(what, endpoint.host, url.origin);
  if (endpoint.mirrorOf !== undefined && typeof to === "string") {
    url.searchParams.set("ns", endpoint.mirrorOf);
  }
  return url;
}

/**
 * Follows redirects; authorization, configured headers and client certificates stay with the host that they are for
 * (CVE-2020-15157).
 */
async function follow(
  target: HostTarget,
  start: URL,
  authorization: string | undefined,
  { what, method = "GET", headers, body, signal }: HostRequest,
): Promise<HostAnswer> {
  let url = start;
  const { transport, headers: configured, root } = target.endpoint;
  const own = { ...configured, ...headers, ...(authorization && { authorization }) };
  let trusted = start.origin === root.origin;
  for (let redirects = 0; ; redirects++) {
    const answer = await target.http.send(url, {
      method,
      headers: trusted ? own : { ...headers },
      ...(body && { body }),
      transport: trusted ? transport : withoutClient(transport),
      signal,
    });
    const location = answer.headers["location"];
    if (!isRedirect(method, answer.statusCode) || typeof location !== "string") {
      return { answer, sender: url };
    }
    await answer.body.dump({ limit: 16 * 1024, signal });
    const next = URL.parse(location, url);
    if (redirects === maxRedirects) {
      throw new RuntimeError(
        "unavailable",
        `${what}: ${start.host} redirects more than ${maxRedirects} times`,
      );
    }
    if (next === null || !mayFollow(url, next, target.policy)) {
      throw notFollowed(what, url.host, next?.origin ?? location.slice(0, 200));
    }
    trusted &&= next.origin === start.origin;
    url = next;
  }
}

/** Those that keep the method (RFC 9110 15.4); a GET remains one with all of them. */
function isRedirect(method: Method, status: number): boolean {
  if (method === "GET" || method === "HEAD") return status >= 300 && status <= 399;
  return status === 307 || status === 308;
}

function notFollowed(what: string, host: string, to: string): RuntimeError {
  return new RuntimeError(
    "unavailable",
    `${what}: ${host} redirects to ${JSON.stringify(to)}, which is not followed`,
  );
}

/** Runs a try; undefined where its connection failed and another try is due. */
async function translate(
  { http, endpoint }: HostTarget,
  options: HostRequest,
  tried: number,
  run: () => Promise<HostAnswer>,
): Promise<HostAnswer | undefined> {
  try {
    return await run();
  } catch (thrown) {
    if (options.signal.aborted) throw aborted(options.what, thrown);
    if (thrown instanceof RuntimeError) throw thrown;
    // A connection that took its whole time is not waited for again where another host can be asked.
    const mayPass = isTransient(thrown) && (options.attempts === maxAttempts || !isConnectTimeout(thrown));
    if (mayPass && tried < options.attempts) return undefined;
    const proxy = http.proxyOf(endpoint.root);
    throw unreachable(options.what, proxy ? `${endpoint.host} by the proxy ${proxy}` : endpoint.host, thrown);
  }
}

/**
 * 408, 429 and 5xx are tried again after the time that the server asks for; everything else is final. Where this request
 * has no more tries, the failure's cause says what was asked for.
 */
async function waitOrThrow(host: string, options: HostRequest, tried: number, answer: Answer): Promise<void> {
  const status = answer.statusCode;
  const asked = retryAfterMs(answer.headers["retry-after"], Date.now());
  const detail = describeBody(await readErrorText(answer));
  const cause = asked === undefined ? undefined : new AskedToWait(asked);
  const failure = statusError(options.what, host, status, detail, cause);
  if ((status !== 408 && status !== 429 && status < 500) || tried >= options.attempts) throw failure;
  if (asked === "never") throw failure;
  await waitOrAbort(asked ?? backoffMs(tried, Math.random()), options);
}

async function waitOrAbort(delayMs: number, { what, signal }: HostRequest): Promise<void> {
  try {
    await pause(delayMs, signal);
  } catch (thrown) {
    throw aborted(what, thrown);
  }
}
