import { RuntimeError } from "../../core/errors.ts";
import type { HostCredentials } from "./credentials.ts";
import type { Capability, Endpoint } from "./endpoint.ts";
import { openHostSession, type HostSession } from "./host-session.ts";
import type { HostPolicy } from "./hosts.ts";
import type { Answer, Http } from "./http.ts";
import type { Route } from "./mirrors.ts";
import { maxAttempts } from "./retry.ts";

/** Tries on a host that is not the last one. */
const attemptsBeforeNext = 2;

/** One repository for one caller: its hosts are asked in order until one answers well. */
export interface Session {
  readonly registry: string;
  /** Gets a path below the repository's; where every host fails the error names them all. */
  get(path: string, options: GetOptions): Promise<Reply>;
  /**
   * Says that a host, which answered, is of no use: it is not asked again in this session. False where no other is
   * left, and the host stays.
   */
  leave(host: Endpoint, why: unknown): boolean;
}

/** An answer and who gave it. */
export interface Reply {
  readonly from: Endpoint;
  readonly answer: Answer;
}

export interface GetOptions {
  /** Begins the text of errors, such as `layer sha256:… of registry/name:tag`. */
  readonly what: string;
  readonly needs: Capability;
  /** GET where absent. */
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** Where and as whom. */
export interface SessionTarget {
  readonly http: Http;
  readonly policy: HostPolicy;
  readonly registry: string;
  readonly repository: string;
  readonly route: Route;
  readonly credentialsOf: (endpoint: Endpoint) => HostCredentials;
  /** Told of hosts that failed while others are left. */
  readonly note: (text: string) => void;
}

/** Opens a session; nothing is sent before the first get. */
export function openSession(target: SessionTarget): Session {
  const { registry, repository, route, note } = target;
  const scope = `repository:${repository}:pull`;
  const hosts = route.endpoints.map((endpoint) =>
    openHostSession({ ...target, scope, endpoint, credentials: target.credentialsOf(endpoint) }),
  );
  const left = new Map<Endpoint, string>();
  /** Those whose lack of something was noted: it is once, not for every layer. */
  const lacking = new Set<Endpoint>();

  const usable = (needs: Capability): HostSession[] =>
    hosts.filter(
      ({ endpoint }, index) =>
        can(endpoint, needs) &&
        !left.has(endpoint) &&
        // A file may name one host as mirror and as server.
        hosts.findIndex(
          (other) => other.endpoint.root.href === endpoint.root.href && can(other.endpoint, needs),
        ) === index,
    );

  const leave = (endpoint: Endpoint, why: unknown): boolean => {
    if (left.has(endpoint)) return true;
    if (usable("pull").every((host) => host.endpoint === endpoint)) return false;
    const reason = messageOf(why);
    left.set(endpoint, reason);
    note(`${endpoint.host} is not asked any more in this pull: ${reason}`);
    return true;
  };

  const noteLack = (endpoint: Endpoint, why: RuntimeError): void => {
    if (lacking.has(endpoint)) return;
    lacking.add(endpoint);
    note(`${endpoint.host} is passed over: ${why.message}`);
  };

  const get = async (path: string, options: GetOptions): Promise<Reply> => {
    const candidates = usable(options.needs);
    const failures = new Map([...left].map(([endpoint, reason]) => [endpoint.host, reason]));
    for (const [index, host] of candidates.entries()) {
      const isLast = index === candidates.length - 1;
      const attempts = isLast ? maxAttempts : attemptsBeforeNext;
      try {
        const { answer } = await host.send(path, { ...options, attempts });
        return { from: host.endpoint, answer };
      } catch (thrown) {
        if (!(thrown instanceof RuntimeError) || thrown.code === "aborted") throw thrown;
        if (isLast) throw withEarlier(thrown, failures);
        failures.set(host.endpoint.host, messageOf(thrown));
        // What a host does not have says nothing of the rest that it has.
        if (thrown.code !== "not-found") leave(host.endpoint, thrown);
        else noteLack(host.endpoint, thrown);
      }
    }
    const text = `${options.what}: no host of ${route.folder ?? registry} may be asked to ${options.needs}`;
    throw withEarlier(new RuntimeError("failed-precondition", text), failures);
  };

  return { registry, get, leave };
}

/** The one host that an image is pushed to: the first of the registry's that may be. Nothing is sent yet. */
export function openPushSession(target: SessionTarget): HostSession {
  const { registry, repository, route } = target;
  const endpoint = route.endpoints.find((one) => one.capabilities.has("push"));
  if (endpoint === undefined) {
    const text = `no host of ${route.folder ?? registry} may be pushed to`;
    throw new RuntimeError("failed-precondition", text);
  }
  const scope = `repository:${repository}:pull,push`;
  return openHostSession({ ...target, scope, endpoint, credentials: target.credentialsOf(endpoint) });
}

function can(endpoint: Endpoint, needs: Capability): boolean {
  // What resolves a tag sends the manifest too.
  return endpoint.capabilities.has(needs) && (needs !== "resolve" || endpoint.capabilities.has("pull"));
}

/** The last host's error, and what the others said before it. */
function withEarlier(last: RuntimeError, failures: ReadonlyMap<string, string>): RuntimeError {
  if (failures.size === 0) return last;
  const others = [...failures].map(([host, reason]) => `${host}: ${reason}`);
  return new RuntimeError(last.code, `${last.message}; before that, ${others.join("; ")}`, { cause: last });
}

const maxReasonLength = 400;

function messageOf(why: unknown): string {
  return (why instanceof Error ? why.message : String(why)).slice(0, maxReasonLength);
}
