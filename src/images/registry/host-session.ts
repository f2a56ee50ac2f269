import { RuntimeError } from "../../core/errors.ts";
import { parseChallenges } from "./challenge.ts";
import type { HostCredentials } from "./credentials.ts";
import type { Endpoint } from "./endpoint.ts";
import { aborted, describeBody, statusError, unreachable } from "./failure.ts";
import { mayFollow, type HostPolicy } from "./hosts.ts";
import { readErrorText, type Answer, type Http } from "./http.ts";
import { backoffMs, isConnectTimeout, isTransient, maxAttempts, pause, retryAfterMs } from "./retry.ts";
import { basicHeader, fetchToken } from "./token.ts";
import { withoutClient } from "./transport.ts";

const maxRedirects = 5;
/** Answers of 401 within one request: the first asks for credentials, the second may be an expired token. */
const maxChallenges = 2;

/** One repository on one host with one caller's credentials; tokens are kept for its lifetime and not shared. */
export interface HostSession {
  readonly endpoint: Endpoint;
  /** Gets a path below `<root>/<repository>/`; only 2xx comes back, all else is thrown, naming `what`. */
  get(path: string, options: HostGetOptions): Promise<Answer>;
}

export interface HostGetOptions {
  /** Begins the text of errors, such as `layer sha256:… of registry/name:tag`. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
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
  const authenticate = async (answer: Answer, options: HostGetOptions): Promise<void> => {
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

  const attempt = async (url: URL, options: HostGetOptions): Promise<Answer> => {
    for (let challenges = 0; ; challenges++) {
      const { answer, sender } = await follow(target, url, state.authorization, options);
      if (answer.statusCode !== 401) return answer;
      // The challenge of a host that we were sent to could name a token server of its own (CVE-2020-15157).
      if (sender.origin !== url.origin || challenges === maxChallenges) {
        throw statusError(options.what, sender.host, 401, describeBody(await readErrorText(answer)));
      }
      await authenticate(answer, options);
    }
  };

  return {
    endpoint,
    get: async (path, options) => {
      const url = new URL(`${target.repository}/${path}`, endpoint.root);
      if (endpoint.mirrorOf !== undefined) url.searchParams.set("ns", endpoint.mirrorOf);
      for (let tried = 1; ; tried++) {
        const answer = await translate(target, options, tried, () => attempt(url, options));
        if (answer === undefined) {
          await waitOrAbort(backoffMs(tried, Math.random()), options);
        } else if (answer.statusCode >= 200 && answer.statusCode < 300) {
          return answer;
        } else {
          await waitOrThrow(host, options, tried, answer);
        }
      }
    },
  };
}

/**
 * Follows redirects; authorization, configured headers and client certificates stay with the host that they are for
 * (CVE-2020-15157).
 */
async function follow(
  target: HostTarget,
  start: URL,
  authorization: string | undefined,
  { what, headers, signal }: HostGetOptions,
): Promise<{ readonly answer: Answer; readonly sender: URL }> {
  let url = start;
  const { transport, headers: configured } = target.endpoint;
  const own = { ...configured, ...headers, ...(authorization && { authorization }) };
  let trusted = true;
  for (let redirects = 0; ; redirects++) {
    const answer = await target.http.send(url, {
      method: "GET",
      headers: trusted ? own : { ...headers },
      transport: trusted ? transport : withoutClient(transport),
      signal,
    });
    const location = answer.headers["location"];
    if (answer.statusCode < 300 || answer.statusCode > 399 || typeof location !== "string") {
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
      const shown = JSON.stringify(next?.origin ?? location.slice(0, 200));
      throw new RuntimeError(
        "unavailable",
        `${what}: ${url.host} redirects to ${shown}, which is not followed`,
      );
    }
    trusted &&= next.origin === start.origin;
    url = next;
  }
}

/** Runs a try; undefined where its connection failed and another try is due. */
async function translate(
  { http, endpoint }: HostTarget,
  options: HostGetOptions,
  tried: number,
  run: () => Promise<Answer>,
): Promise<Answer | undefined> {
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

/** 408, 429 and 5xx are tried again after the time that the server asks for; everything else is final. */
async function waitOrThrow(
  host: string,
  options: HostGetOptions,
  tried: number,
  answer: Answer,
): Promise<void> {
  const status = answer.statusCode;
  const failure = statusError(options.what, host, status, describeBody(await readErrorText(answer)));
  if ((status !== 408 && status !== 429 && status < 500) || tried >= options.attempts) throw failure;
  const asked = retryAfterMs(answer.headers["retry-after"], Date.now());
  if (asked === "never") throw failure;
  await waitOrAbort(asked ?? backoffMs(tried, Math.random()), options);
}

async function waitOrAbort(delayMs: number, { what, signal }: HostGetOptions): Promise<void> {
  try {
    await pause(delayMs, signal);
  } catch (thrown) {
    throw aborted(what, thrown);
  }
}
