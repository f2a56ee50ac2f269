import { fail } from "./libc.ts";
import { indexOf, matches } from "./patterns.ts";

/** Bytes of a path in the layer: the kernel's PATH_MAX without its terminator. */
const maxPathBytes = 4095;

/** A path relative to the layer's root without `.`, empty parts and slashes at its ends; empty is the root itself. */
export function cleanPath(name: string): string {
  if (name.length > maxPathBytes)
    fail("limit", `a path is longer than ${maxPathBytes} bytes: ${string.sub(name, 1, 80)}...`);
  if (indexOf(name, "\0", 1) !== undefined) fail("format", `a path holds a zero byte: ${name}`);
  let clean = name;
  while (string.sub(clean, 1, 2) === "./") clean = string.sub(clean, 3);
  if (string.sub(clean, -1) === "/") clean = string.sub(clean, 1, -2);
  return matches(`/${clean}/`, "/%.?%.?/") ? rebuild(name) : clean;
}

function rebuild(name: string): string {
  const parts: string[] = [];
  for (const part of partsOf(name)) {
    if (part === "..") fail("format", `${name}: a path with ".." could leave the layer`);
    if (part !== ".") parts.push(part);
  }
  return table.concat(parts, "/");
}

/** The folder that holds a path; empty is the root. */
export function parentOf(path: string): string {
  const [parent] = string.match(path, "^(.*)/[^/]*$");
  return parent ?? "";
}

/** The last part of a path. */
export function baseOf(path: string): string {
  return string.match(path, "[^/]*$")[0] ?? "";
}

/** Joins a folder, empty for the root, and a name in it. */
export function join(folder: string, name: string): string {
  return folder === "" ? name : `${folder}/${name}`;
}

/** The names between the slashes of a path. */
export function partsOf(path: string): string[] {
  const parts: string[] = [];
  for (const [part] of string.gmatch(path, "[^/]+")) parts.push(part ?? "");
  return parts;
}
