import { RuntimeError } from "../core/errors.ts";
import { maxDocumentBytes, isObject, parseJson } from "./documents.ts";
import { isRegistryHost, parseReference, registryOfQuery } from "./reference.ts";
import { reachRepository, type RegistryContext } from "./registry/access.ts";
import type { RegistryAuth } from "./registry/credentials.ts";
import { openHostSession, type HostSession } from "./registry/host-session.ts";
import { readSmall } from "./registry/http.ts";
import { nextPage } from "./registry/link.ts";
import { maxAttempts } from "./registry/retry.ts";

/** What a registry is asked for. */
export interface SearchRequest {
  /** `HOST`, `HOST/PREFIX`, or without a host for Docker Hub; a whole repository where tags are wanted. */
  readonly query: string;
  readonly wanted: "repositories" | "tags";
  /** Most entries. */
  readonly limit: number;
  readonly auth?: RegistryAuth;
  readonly signal: AbortSignal;
}

export interface SearchResult {
  readonly entries: readonly FoundEntry[];
  /** The registry has more than the limit. */
  readonly more: boolean;
}

/** A tag, or a repository with its registry; the rest is empty but where a registry has Docker's search. */
export interface FoundEntry {
  readonly name: string;
  readonly description: string;
  readonly stars: number;
  readonly official: boolean;
}

/** Entries that one request is answered with at most. */
const maxEntries = 100_000;
/** Pages of a list that are read; a page has as many names as the registry likes, at most this many are asked for. */
const maxPages = 1000;
const pageSize = 1000;
/** What Docker's search gives on one page at most. */
const searchPageSize = 100;

/**
 * Lists a repository's tags, or a registry's repositories by the beginning of their names: from its catalog, and from
 * Docker's v1 search where it has that in place of one, as Docker Hub. Mirrors are not asked, only the server.
 */
export async function searchRegistry(
  context: RegistryContext,
  request: SearchRequest,
): Promise<SearchResult> {
  const limit = Math.min(request.limit, maxEntries);
  const { registry, prefix } = readQuery(request);
  const search: Search = {
    session: await openServer(context, request, registry, prefix),
    registry,
    prefix,
    limit,
    signal: request.signal,
  };
  const found =
    request.wanted === "tags"
      ? await names(search, `${prefix}/tags/list`, "tags", `tags of ${registry}/${prefix}`)
      : await repositories(search);
  return { entries: found.slice(0, limit), more: found.length > limit };
}

interface Search {
  readonly session: HostSession;
  readonly registry: string;
  /** A repository's whole name where tags are wanted. */
  readonly prefix: string;
  readonly limit: number;
  readonly signal: AbortSignal;
}

function readQuery({ query, wanted }: SearchRequest): { readonly registry: string; readonly prefix: string } {
  if (wanted === "tags") {
    const { registry, repository, tag, digest } = parseReference(query);
    if (digest === undefined && !query.endsWith(`:${tag ?? ""}`)) return { registry, prefix: repository };
    throw new RuntimeError("invalid-argument", `${query} names an image: give its repository alone`);
  }
  const [first = "", ...rest] = query.split("/");
  const prefix = isRegistryHost(first) ? rest.join("/") : query;
  if (!/^[a-z0-9._/-]*$/.test(prefix)) {
    throw new RuntimeError(
      "invalid-argument",
      `${JSON.stringify(query.slice(0, 300))} is no registry, nor a registry and the beginning of a repository's name`,
    );
  }
  return { registry: registryOfQuery(query), prefix };
}

/** The server itself, which stands last in a hosts file: what a mirror has says nothing of the registry. */
async function openServer(
  context: RegistryContext,
  { wanted, auth }: SearchRequest,
  registry: string,
  repository: string,
): Promise<HostSession> {
  const access = { ...(auth && { auth }), note: () => undefined };
  const target = await reachRepository(context, access, { registry, repository });
  const endpoint = target.route.endpoints.at(-1);
  if (endpoint === undefined) throw new RuntimeError("internal", `registry ${registry} has no server`);
  const scope = wanted === "tags" ? `repository:${repository}:pull` : "registry:catalog:*";
  return openHostSession({ ...target, endpoint, scope, credentials: target.credentialsOf(endpoint) });
}

async function repositories(search: Search): Promise<readonly FoundEntry[]> {
  const { session, registry } = search;
  if (session.endpoint.host === "registry-1.docker.io") {
    return await searchV1(search, new URL("https://index.docker.io/v1/search"));
  }
  try {
    return await names(search, "_catalog", "repositories", `repositories of ${registry}`);
  } catch (thrown) {
    if (!(thrown instanceof RuntimeError) || !refusals.includes(thrown.code)) throw thrown;
    try {
      return await searchV1(search, new URL("/v1/search", session.endpoint.root));
    } catch (second) {
      if (!(second instanceof RuntimeError) || !refusals.includes(second.code)) throw second;
      throw new RuntimeError(
        thrown.code,
        `${thrown.message}; nor has it Docker's search: ${second.message}`,
        {
          cause: thrown,
        },
      );
    }
  }
}

/** What registries without a catalog, or with one that is not for everybody, answer. */
const refusals: readonly string[] = [
  "not-found",
  "permission-denied",
  "unauthenticated",
  "failed-precondition",
  "invalid-argument",
];

/** Reads a list page by page (distribution spec, listing tags; the catalog is Docker's), one more than the limit. */
async function names(
  search: Search,
  path: string,
  key: "tags" | "repositories",
  what: string,
): Promise<readonly FoundEntry[]> {
  const { session, registry, prefix, limit } = search;
  const found: FoundEntry[] = [];
  const asked = new Set<string>();
  let url: URL | undefined = new URL(path, session.endpoint.root);
  url.searchParams.set("n", String(pageSize));
  while (url !== undefined && found.length <= limit) {
    if (asked.size === maxPages || asked.has(url.href)) {
      const text = `${what}: ${url.host} has no end of pages (${asked.size} were read)`;
      throw new RuntimeError("failed-precondition", text);
    }
    asked.add(url.href);
    const { json, link, sender } = await ask(search, url, what);
    // Some registries have null for none.
    const list = json[key] ?? [];
    if (!Array.isArray(list)) throw new RuntimeError("failed-precondition", `${what}: ${key} is no list`);
    for (const name of list as unknown[]) {
      if (typeof name !== "string")
        throw new RuntimeError("failed-precondition", `${what}: a name is no text`);
      if (key === "tags") found.push(entry(name));
      else if (name.startsWith(prefix)) found.push(entry(`${registry}/${name}`));
    }
    url = nextPage(link, sender);
    if (url !== undefined && url.origin !== session.endpoint.root.origin) {
      throw new RuntimeError("failed-precondition", `${what}: its next page is at another host, ${url.host}`);
    }
  }
  return found;
}

/** Docker's v1 search, one more than the limit. @see https://docs.docker.com/reference/cli/docker/search/ */
async function searchV1(search: Search, at: URL): Promise<readonly FoundEntry[]> {
  const { registry, prefix, limit } = search;
  if (prefix === "") {
    throw new RuntimeError(
      "invalid-argument",
      `${registry} can only be searched: say what for, ${registry}/WORD`,
    );
  }
  const what = `search for ${prefix} at ${registry}`;
  const found: FoundEntry[] = [];
  for (let page = 1; found.length <= limit && page <= maxPages; page++) {
    const url = new URL(at);
    const query = { q: prefix, n: String(Math.min(limit + 1, searchPageSize)), page: String(page) };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const { json } = await ask(search, url, what);
    const { results, num_pages: pages } = json;
    if (!Array.isArray(results)) throw new RuntimeError("failed-precondition", `${what}: results is no list`);
    for (const one of results as unknown[]) {
      if (!isObject(one) || typeof one["name"] !== "string") {
        throw new RuntimeError("failed-precondition", `${what}: a result has no name`);
      }
      const { name, description, star_count: stars, is_official: official } = one;
      found.push({
        name: `${registry}/${name}`,
        description: typeof description === "string" ? description.slice(0, maxDescription) : "",
        stars: typeof stars === "number" && Number.isInteger(stars) ? Math.min(stars, maxStars) : 0,
        official: official === true,
      });
    }
    if (results.length === 0 || typeof pages !== "number" || page >= pages) break;
  }
  return found;
}

const maxDescription = 1000;
/** int32, as the contract has it. */
const maxStars = 2 ** 31 - 1;

async function ask({ session, signal }: Search, url: URL, what: string) {
  const { answer, sender } = await session.send(url, {
    what,
    headers: { accept: "application/json" },
    attempts: maxAttempts,
    signal,
  });
  const text = (await readSmall(answer, maxDocumentBytes, what)).toString("utf8");
  return { json: parseJson(text, what), link: answer.headers["link"], sender };
}

function entry(name: string): FoundEntry {
  return { name, description: "", stars: 0, official: false };
}
