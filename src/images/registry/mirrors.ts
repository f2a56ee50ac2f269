import type { BigIntStats } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { allCapabilities, ownEndpoint, type Endpoint } from "./endpoint.ts";
import type { HostPolicy } from "./hosts.ts";
import { parseHostsFile, type HostEntry, type HostsFile } from "./hosts-file.ts";
import { readTransport } from "./transport.ts";

/** Who answers for a registry, in the order in which they are asked. */
export interface Route {
  readonly endpoints: readonly Endpoint[];
  /** The folder that says so; absent where the registry itself is asked. */
  readonly folder?: string;
  /** Keys of the hosts file that mean nothing. */
  readonly warnings: readonly string[];
}

/** Finds the hosts of registries. */
export interface Mirrors {
  /** Looks at the folder anew; throws `failed-precondition` naming the file, and the line, that cannot be used. */
  routeOf(registry: string): Promise<Route>;
}

const maxHostsFileBytes = 1024 * 1024;
/** Parsed files that are kept; beyond it all are read again. */
const maxKeptFiles = 256;

/**
 * Mirrors in the layout that containerd has: `<folder>/<host>/hosts.toml`, with `<host>_<port>_` for a host with a
 * port, and `_default` for those that have no folder. A folder without the file may hold Docker's certificates
 * (`*.crt`, `*.cert`, `*.key`). @see https://github.com/containerd/containerd/blob/main/docs/hosts.md
 */
export function openMirrors(certsDir: string | undefined, policy: HostPolicy): Mirrors {
  const kept = new Map<string, { readonly stamp: string; readonly file: HostsFile }>();

  const readHosts = async (folder: string): Promise<HostsFile> => {
    const path = join(folder, "hosts.toml");
    const status = await statIfPresent(path);
    if (status === undefined || status.size === 0n) return await certificatesOf(folder);
    const stamp = [status.ino, status.size, status.mtimeNs, status.ctimeNs].join(" ");
    const known = kept.get(path);
    if (known?.stamp === stamp) return known.file;
    if (status.size > maxHostsFileBytes)
      throw new RuntimeError("failed-precondition", `${path}: larger than ${maxHostsFileBytes} bytes`);
    const file = parseHostsFile(await readFile(path, "utf8"), path);
    if (kept.size >= maxKeptFiles) kept.clear();
    kept.set(path, { stamp, file });
    return file;
  };

  return {
    routeOf: async (registry) => {
      const own = ownEndpoint(registry, policy);
      const folder = certsDir === undefined ? undefined : await folderOf(certsDir, registry);
      if (folder === undefined) return { endpoints: [own], warnings: [] };
      const { entries, warnings } = await readHosts(folder);
      const endpoints = await Promise.all(entries.map((entry) => endpointOf(entry, registry, own)));
      return { endpoints, folder, warnings };
    },
  };
}

async function endpointOf(entry: HostEntry, registry: string, own: Endpoint): Promise<Endpoint> {
  const root = entry.root ?? own.root;
  const { capabilities, headers } = entry;
  const mirrorOf = root.host === own.host ? {} : { mirrorOf: registry };
  return {
    host: root.host,
    root,
    capabilities,
    headers,
    ...mirrorOf,
    transport: await readTransport(entry.files),
  };
}

/** The first of the folders that a registry may have. */
async function folderOf(certsDir: string, registry: string): Promise<string | undefined> {
  const port = /^(.+):(\d+)$/.exec(registry);
  const names = [...(port ? [`${port[1] ?? ""}_${port[2] ?? ""}_`] : []), registry, "_default"];
  for (const name of names) {
    const folder = join(certsDir, name);
    if ((await statIfPresent(folder))?.isDirectory() === true) return folder;
  }
  return undefined;
}

/** Docker's layout: authorities in `*.crt`, certificates for the server in `*.cert` with their `*.key`. */
async function certificatesOf(folder: string): Promise<HostsFile> {
  const names = (await readdir(folder)).sort();
  const ca = names.filter((name) => name.endsWith(".crt")).map((name) => join(folder, name));
  const client = names
    .filter((name) => name.endsWith(".cert"))
    .map((name) => {
      const key = name.replace(/\.cert$/, ".key");
      return { cert: join(folder, name), ...(names.includes(key) && { key: join(folder, key) }) };
    });
  const files = { ca, client, verification: "verified" } as const;
  return { entries: [{ capabilities: allCapabilities, headers: {}, files }], warnings: [] };
}

async function statIfPresent(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new RuntimeError("failed-precondition", `cannot look at ${path}: ${code ?? String(thrown)}`);
  }
}
