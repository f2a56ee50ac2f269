import { readFile, stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { parseElf, type Elf } from "./elf.ts";

/** Where glibc looks last, on Debian and elsewhere. */
const defaultFolders: readonly string[] = [
  "/lib/x86_64-linux-gnu",
  "/usr/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib64",
  "/usr/lib64",
  "/lib",
  "/usr/lib",
];
/** glibc's cache of library paths; see its elf/cache.c for the form. */
export const loaderCache = "/etc/ld.so.cache";
const cacheMagic = "glibc-ld.so.cache1.1";
const maxLibraries = 1000;
/** Bytes of one binary or library. */
const maxBinaryBytes = 512 * 1024 * 1024;

/** Reads ld.so.cache: library name to paths, in the loader's order. A missing or odd cache is empty. */
export function parseLoaderCache(file: Buffer): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const start = file.indexOf(cacheMagic);
  if (start < 0) return found;
  const count = file.readUInt32LE(start + 20);
  const text = (offset: number): string =>
    file.toString("utf8", start + offset, file.indexOf(0, start + offset));
  for (let index = 0; index < count; index++) {
    const at = start + 48 + index * 24;
    if (at + 24 > file.length) break;
    const name = text(file.readUInt32LE(at + 4));
    const path = text(file.readUInt32LE(at + 8));
    found.set(name, [...(found.get(name) ?? []), path]);
  }
  return found;
}

/** Paths of every library and loader that binaries need, by reading them and never by running them (ld.so(8)). */
export async function findLibraries(binaries: readonly string[]): Promise<string[]> {
  const cache = parseLoaderCache(await readFile(loaderCache).catch(() => Buffer.alloc(0)));
  const found = new Set<string>();
  const pending = binaries.map((path) => ({ path, isLibrary: false }));
  for (let item = pending.shift(); item !== undefined; item = pending.shift()) {
    if (found.size > maxLibraries)
      throw new RuntimeError("resource-exhausted", `more than ${maxLibraries} libraries are needed`);
    const elf = await readElfFile(item.path);
    const add = (path: string): void => {
      if (found.has(path)) return;
      found.add(path);
      pending.push({ path, isLibrary: true });
    };
    if (elf.interpreter !== undefined) add(elf.interpreter);
    for (const name of elf.needed) add(await locate(name, item.path, elf, cache));
  }
  return [...found];
}

async function readElfFile(path: string): Promise<Elf> {
  const { size } = await stat(path);
  if (size > maxBinaryBytes)
    throw new RuntimeError("invalid-argument", `${path}: larger than ${maxBinaryBytes} bytes`);
  return parseElf(await readFile(path), path);
}

async function locate(
  name: string,
  user: string,
  elf: Elf,
  cache: ReadonlyMap<string, string[]>,
): Promise<string> {
  const origin = dirname(user);
  const searched = elf.searchPath.map((folder) => folder.replace(/\$(?:ORIGIN|\{ORIGIN\})/g, origin));
  const candidates = name.includes("/")
    ? [name]
    : [
        ...searched.map((folder) => join(folder, name)),
        ...(cache.get(name) ?? []),
        ...defaultFolders.map((folder) => join(folder, name)),
      ];
  for (const candidate of candidates) {
    if (isAbsolute(candidate) && (await fits(candidate, elf.machine))) return candidate;
  }
  throw new RuntimeError("not-found", `library ${name}, which ${user} needs, is not on this machine`);
}

/** The cache also names libraries of other architectures. */
async function fits(path: string, machine: number): Promise<boolean> {
  try {
    return (await readElfFile(path)).machine === machine;
  } catch {
    return false;
  }
}
