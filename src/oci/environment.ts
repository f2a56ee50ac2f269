import { RuntimeError } from "../core/errors.ts";

/** What Docker and containerd set where neither image nor request does. */
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Where a process's environment comes from. */
export interface EnvironmentRequest {
  /** `NAME=value` of the image; an entry without `=` says nothing and is dropped. */
  readonly image: readonly string[];
  readonly request: readonly { readonly key: string; readonly value: string }[];
  readonly hostname: string;
  readonly home: string;
  readonly tty: boolean;
}

/**
 * The environment as `NAME=value`: PATH, TERM (for a tty), HOSTNAME, then the image's, then the request's, a later value
 * taking an earlier one's place; HOME last where nobody set it. A name that is empty or has `=`, a NUL, and a HOME
 * with control characters (CVE-2022-4318) are `invalid-argument`.
 */
export function buildEnvironment(request: EnvironmentRequest): readonly string[] {
  const values = new Map<string, string>([["PATH", defaultPath]]);
  if (request.tty) values.set("TERM", "xterm");
  values.set("HOSTNAME", request.hostname);
  for (const entry of request.image) {
    const [key, value] = splitEntry(entry);
    if (value !== undefined && key !== "") values.set(key, value);
  }
  for (const { key, value } of request.request) {
    if (key === "" || key.includes("=")) {
      throw new RuntimeError("invalid-argument", `envs: ${JSON.stringify(key)} is not a variable's name`);
    }
    values.set(key, value);
  }
  if (!values.has("HOME")) values.set("HOME", request.home);
  return [...values].map(([key, value]) => checkEntry(key, value));
}

/** Adds `TERM=xterm` where no TERM is set. */
export function withTerminal(environment: readonly string[]): readonly string[] {
  return environment.some((entry) => entry.startsWith("TERM="))
    ? environment
    : [...environment, "TERM=xterm"];
}

function splitEntry(entry: string): readonly [string, string | undefined] {
  const end = entry.indexOf("=");
  return end < 0 ? [entry, undefined] : [entry.slice(0, end), entry.slice(end + 1)];
}

function checkEntry(key: string, value: string): string {
  if (key.includes("\0") || value.includes("\0")) {
    throw new RuntimeError("invalid-argument", `envs: ${JSON.stringify(key)} has a NUL`);
  }
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (key === "HOME" && /[\x00-\x1f\x7f]/.test(value)) {
    throw new RuntimeError("invalid-argument", "envs: HOME has control characters");
  }
  return `${key}=${value}`;
}
