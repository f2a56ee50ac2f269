import { RuntimeError } from "../../core/errors.ts";
import { parseChallenges } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import { describeBody, reason, statusError, unreachable } from "./failure.ts";
import { apiRoot, mayFollow, type HostPolicy } from "./hosts.ts";
import { readErrorText, type Answer, type Http } from "./http.ts";
import { backoffMs, isTransient, maxAttempts, pause, retryAfterMs } from "./retry.ts";
import { basicHeader, fetchToken } from "./token.ts";

const maxRedirects = 5;
/** Answers of 401 within one request: the first asks for credentials, the second may be an expired token. */
const maxChallenges = 2;

/** One repository of one registry with one caller's credentials; tokens are kept for its lifetime and not shared. */
export interface Session {
  readonly host: string;
  /** Gets a path below `/v2/<repository>/`; only 2xx comes back, all else is thrown, naming `what`. */
  get(path: string, options: GetOptions): Promise<Answer>;
}

export interface GetOptions {
  /** Begins the text of errors, such as `layer sha256:… of registry/name:tag`. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Where and as whom. */
export interface SessionTarget {
  readonly http: Http;
  readonly policy: HostPolicy;
  readonly registry: string;
  readonly repository: string;
  readonly credentials: Credentials;
}

/** Opens a session; nothing is sent before the first get. */
export function openSession(target: SessionTarget): Session {
  const root = apiRoot(target.registry, target.policy);
  const { credentials } = target;
  let authorization = credentials.kind === "bearer" ? `Bearer ${credentials.token}` : undefined;

  /** Answers a 401 with what its challenge asks for; throws where there is nothing to answer with. */
  const authenticate = async (answer: Answer, options: GetOptions): Promise<void> => {
    const header = answer.headers["www-authenticate"];
    const challenges = parseChallenges(Array.isArray(header) ? header.join(", ") : (header ?? ""));
    const detail = describeBody(await readErrorText(answer));
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    const basic = challenges.find((challenge) => challenge.scheme === "basic");
    if (bearer !== undefined && credentials.kind !== "bearer") {
      const { signal } = options;
      authorization = `Bearer ${await fetchToken({ ...target, registry: root, challenge: bearer, signal })}`;
    } else if (basic !== undefined && credentials.kind === "basic") {
      authorization = basicHeader(credentials)["authorization"];
    } else {
      throw statusError(options.what, root.host, 401, detail);
    }
  };

  const attempt = async (url: URL, options: GetOptions): Promise<Answer> => {
    for (let challenges = 0; ; challenges++) {
      const answer = await follow(target, url, authorization, options);
      if (answer.statusCode !== 401) return answer;
      if (challenges === maxChallenges) {
        throw statusError(options.what, root.host, 401, describeBody(await readErrorText(answer)));
      }
      await authenticate(answer, options);
    }
  };

  return {
    host: root.host,
    get: async (path, options) => {
      const url = new URL(`/v2/${target.repository}/${path}`, root);
      for (let tried = 1; ; tried++) {
        const answer = await translate(root.host, options, tried, () => attempt(url, options));
        if (answer === undefined) {
          await pause(backoffMs(tried, Math.random()), options.signal);
        } else if (answer.statusCode >= 200 && answer.statusCode < 300) {
          return answer;
        } else {
          await waitOrThrow(root.host, options, tried, answer);
        }
      }
    },
  };
}

/** Follows redirects; the authorization stays with the host it was given for (CVE-2020-15157). */
async function follow(
  target: SessionTarget,
  start: URL,
  authorization: string | undefined,
  { what, headers, signal }: GetOptions,
): Promise<Answer> {
  let url = start;
  let trusted = authorization !== undefined;
  for (let redirects = 0; ; redirects++) {
    const sent = { ...headers, ...(trusted && authorization ? { authorization } : {}) };
    const answer = await target.http.send(url, { method: "GET", headers: sent, signal });
    const location = answer.headers["location"];
    if (answer.statusCode < 300 || answer.statusCode > 399 || typeof location !== "string") return answer;
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
  host: string,
  options: GetOptions,
  tried: number,
  run: () => Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await run();
  } catch (thrown) {
    if (options.signal.aborted) throw aborted(options.what, thrown);
    if (thrown instanceof RuntimeError) throw thrown;
    if (isTransient(thrown) && tried < maxAttempts) return undefined;
    throw unreachable(options.what, host, thrown);
  }
}

/** 429 and 5xx are tried again after the time that the server asks for; everything else is final. */
async function waitOrThrow(host: string, options: GetOptions, tried: number, answer: Answer): Promise<void> {
  const status = answer.statusCode;
  const failure = statusError(options.what, host, status, describeBody(await readErrorText(answer)));
  if ((status !== 429 && status < 500) || tried >= maxAttempts) throw failure;
  const asked = retryAfterMs(answer.headers["retry-after"], Date.now());
  if (asked === "never") throw failure;
  try {
    await pause(asked ?? backoffMs(tried, Math.random()), options.signal);
  } catch (thrown) {
    throw aborted(options.what, thrown);
  }
}

/** The error of work that its caller gave up. */
export function aborted(what: string, cause: unknown): RuntimeError {
  return new RuntimeError("aborted", `${what}: cancelled (${reason(cause)})`, { cause });
}
