import { isAbsolute, join, posix } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { RuntimeError } from "../../core/errors.ts";
import { isObject } from "../documents.ts";
import { allCapabilities, type Capability } from "./endpoint.ts";
import type { TransportFiles } from "./transport.ts";

/** One host of a hosts file, with paths instead of what they hold. */
export interface HostEntry {
  /** Root of the API, ending with a slash; absent for the registry itself. */
  readonly root?: URL;
  readonly capabilities: ReadonlySet<Capability>;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly files: TransportFiles;
}

/** What a hosts file says: its hosts in the order in which they are asked, the server last. */
export interface HostsFile {
  readonly entries: readonly HostEntry[];
  /** Keys that mean nothing. */
  readonly warnings: readonly string[];
}

/** Hosts of one file, the server included. */
const maxHosts = 32;
const hostKeys = new Set([
  "capabilities",
  "ca",
  "client",
  "skip_verify",
  "header",
  "override_path",
  "dial_timeout",
]);

type Table = Readonly<Record<string, unknown>>;
/** Makes the error for a key; it names the file and the line. */
type Refuse = (key: string, why: string) => RuntimeError;

/**
 * Reads a hosts.toml. Throws `failed-precondition` with file and line: what an operator wrote to keep a registry's
 * traffic in the house must not be passed over. @see https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export function parseHostsFile(text: string, path: string): HostsFile {
  const document = parseDocument(text, path);
  const warnings: string[] = [];
  const at = (place: readonly string[]): string => `${path}${lineOf(text, place)}`;
  const read = (table: Table, url: string | undefined, place: readonly string[]): HostEntry => {
    const refuse: Refuse = (key, why) =>
      new RuntimeError("failed-precondition", `${at([...place, key])}: ${key}: ${why}`);
    const known = place.length === 0 ? new Set([...hostKeys, "server", "host"]) : hostKeys;
    for (const key of Object.keys(table)) {
      if (!known.has(key)) warnings.push(`${at([...place, key])}: unknown key ${key}; it is ignored`);
    }
    return readEntry(table, url, posix.dirname(path), refuse);
  };
  const hosts = tableAt(document, "host", at(["host"]));
  const entries = Object.keys(hosts).map((url) =>
    read(tableAt(hosts, url, at(["host", url])), url, ["host", url]),
  );
  const server = document["server"];
  if (server !== undefined && typeof server !== "string") {
    throw new RuntimeError("failed-precondition", `${at(["server"])}: server: expected a text`);
  }
  entries.push(read(document, server === "" ? undefined : server, []));
  if (entries.length > maxHosts)
    throw new RuntimeError("failed-precondition", `${path}: more than ${maxHosts} hosts`);
  return { entries, warnings };
}

function parseDocument(text: string, path: string): Table {
  try {
    return parseToml(text);
  } catch (thrown) {
    const place = thrown instanceof TomlError ? `${path}:${thrown.line}:${thrown.column}` : path;
    // The lines that follow quote the file, which may hold a secret header.
    throw new RuntimeError(
      "failed-precondition",
      `${place}: ${(thrown as Error).message.split("\n")[0] ?? ""}`,
    );
  }
}

function readEntry(table: Table, url: string | undefined, folder: string, refuse: Refuse): HostEntry {
  const keepsPath = readBoolean(table, "override_path", refuse);
  const timeout = table["dial_timeout"];
  return {
    ...(url === undefined ? {} : { root: readRoot(url, keepsPath, refuse) }),
    capabilities: readCapabilities(table["capabilities"], refuse),
    headers: readHeaders(table["header"], refuse),
    files: {
      ca: readPaths(table["ca"], folder, () => refuse("ca", "expected a path or a list of paths")),
      client: readPairs(table["client"], folder, refuse),
      verification: readBoolean(table, "skip_verify", refuse) ? "skipped" : "verified",
      ...(timeout === undefined ? {} : { connectTimeoutMs: readDuration(timeout, refuse) }),
    },
  };
}

/** `https` where no scheme is given, and `/v2` at the end unless the path is said to be the root already. */
function readRoot(text: string, keepsPath: boolean, refuse: Refuse): URL {
  const shown = text.replace(/\/\/[^/]*@/, "//…@");
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol) || url.host === "")
    throw refuse(shown, "expected an http or https URL");
  if (url.username !== "" || url.password !== "") throw refuse(shown, "a URL with credentials is not used");
  if (url.search !== "" || url.hash !== "") throw refuse(shown, "a URL with a query is not used");
  const path = url.pathname.replace(/\/+$/, "");
  const root = new URL(url.origin);
  root.pathname = keepsPath || path.endsWith("/v2") ? `${path}/` : `${path}/v2/`;
  // Docker Hub's name is not where its API is.
  if (root.host === "docker.io") root.host = "registry-1.docker.io";
  return root;
}

function readCapabilities(value: unknown, refuse: Refuse): ReadonlySet<Capability> {
  if (value === undefined) return allCapabilities;
  if (!Array.isArray(value)) throw refuse("capabilities", "expected a list");
  if (value.length === 0) return allCapabilities;
  const found = new Set<Capability>();
  for (const one of value as unknown[]) {
    const name = typeof one === "string" ? one.toLowerCase() : one;
    const capability = [...allCapabilities].find((known) => known === name);
    if (capability !== undefined) found.add(capability);
    // A capability of containerd that nothing here asks for.
    else if (name !== "referrers")
      throw refuse("capabilities", `expected pull, resolve or push, not ${JSON.stringify(one)}`);
  }
  return found;
}

function readBoolean(table: Table, key: string, refuse: Refuse): boolean {
  const value = table[key] ?? false;
  if (typeof value !== "boolean") throw refuse(key, "expected true or false");
  return value;
}

function readPaths(value: unknown, folder: string, error: () => RuntimeError): string[] {
  const list: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return list.map((path) => {
    if (typeof path !== "string" || path === "" || path.includes("\0")) throw error();
    return isAbsolute(path) ? path : join(folder, path);
  });
}

/** A path, a list of paths, or a list of pairs of certificate and key, whose key may be "". */
function readPairs(value: unknown, folder: string, refuse: Refuse): TransportFiles["client"] {
  const error = (): RuntimeError =>
    refuse("client", "expected a path, a list of paths, or a list of [certificate, key]");
  const list: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value];
  return list.map((one) => {
    if (!Array.isArray(one)) return { cert: readPaths(one, folder, error)[0] ?? "" };
    if (one.length !== 2) throw error();
    const [cert = "", key] = readPaths(one[1] === "" ? [one[0]] : one, folder, error);
    return { cert, ...(key === undefined ? {} : { key }) };
  });
}

function readHeaders(value: unknown, refuse: Refuse): HostEntry["headers"] {
  if (value === undefined) return {};
  if (!isObject(value)) throw refuse("header", "expected a table");
  const headers: Record<string, string | string[]> = {};
  for (const [name, one] of Object.entries(value)) {
    const list: unknown[] = Array.isArray(one) ? one : [one];
    const isFine = list.every((text) => typeof text === "string" && !/[^\t\x20-\x7e\x80-\xff]/.test(text));
    if (!isFine || !/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      throw refuse(name, "expected a header's name and a text or a list of texts");
    }
    headers[name.toLowerCase()] = Array.isArray(one) ? (list as string[]) : (one as string);
  }
  return headers;
}

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Go's notation: `1s`, `500ms`, `1m30s`. */
function readDuration(value: unknown, refuse: Refuse): number {
  const text = typeof value === "string" ? value : "";
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)];
  const total = parts.reduce((sum, [, count, unit]) => sum + Number(count) * (unitMs[unit ?? ""] ?? 0), 0);
  const longestMs = 3_600_000;
  if (parts.map(([part]) => part).join("") !== text || total < 1 || total > longestMs) {
    throw refuse("dial_timeout", 'expected a time from 1ms to 1h, such as "2s"');
  }
  return Math.ceil(total);
}

function tableAt(parent: Table, key: string, place: string): Table {
  const value = parent[key] ?? {};
  if (!isObject(value)) throw new RuntimeError("failed-precondition", `${place}: ${key}: expected a table`);
  return value;
}

/** `:line` of the last of the words, each looked for from the line of the one before it. */
function lineOf(text: string, words: readonly string[]): string {
  const lines = text.split("\n");
  let line = 0;
  let found = false;
  for (const word of words) {
    const next = lines.findIndex((content, index) => index >= line && content.includes(word));
    if (next < 0) continue;
    line = next;
    found = true;
  }
  return found ? `:${line + 1}` : "";
}
