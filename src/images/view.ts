import { constants } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../core/errors.ts";

/** A layer as the view reads it: its tree and the folders in it that hide lower ones. */
export interface ViewLayer {
  readonly path: string;
  readonly opaque: ReadonlySet<string>;
}

/** A folder of the merged tree: the layers' own folders of that name, topmost first. */
interface MergedFolder {
  /** Relative to the root; empty is the root. */
  readonly path: string;
  readonly layers: readonly ViewLayer[];
}

type Found =
  | { readonly kind: "absent" }
  | { readonly kind: "folder"; readonly folder: MergedFolder }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "other" };

const maxLinks = 40;

/**
 * Reads a regular file of an image as a container would see it, through its layers (topmost first) without a mount.
 * Symbolic links stay inside the root; undefined where there is no such file. Throws `failed-precondition` for
 * anything but a regular file (CVE-2024-9676), `resource-exhausted` beyond `maxBytes` (CVE-2025-4437).
 */
export async function readMerged(
  layers: readonly ViewLayer[],
  path: string,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const root: MergedFolder = { path: "", layers };
  let trail = [root];
  let pending = parts(path);
  let links = 0;
  while (pending.length > 0) {
    const [name = "", ...rest] = pending;
    pending = rest;
    if (name === "..") {
      trail = trail.length > 1 ? trail.slice(0, -1) : trail;
      continue;
    }
    const found = await lookUp(trail.at(-1) ?? root, name);
    if (found.kind === "absent") return undefined;
    if (found.kind === "folder") {
      trail = [...trail, found.folder];
    } else if (found.kind === "link") {
      links += 1;
      if (links > maxLinks) throw refused(path, "too many symbolic links");
      if (found.target.startsWith("/")) trail = [root];
      pending = [...parts(found.target), ...pending];
    } else if (pending.length > 0) {
      return undefined;
    } else if (found.kind === "file") {
      return await readRegular(found.path, path, maxBytes);
    } else {
      throw refused(path, "it is not a regular file");
    }
  }
  throw refused(path, "it is a folder");
}

/** Finds a name in a merged folder by overlay's rules: a whiteout or an opaque folder ends the search below it. */
async function lookUp(folder: MergedFolder, name: string): Promise<Found> {
  const path = folder.path === "" ? name : `${folder.path}/${name}`;
  const merged: ViewLayer[] = [];
  for (const layer of folder.layers) {
    const place = join(layer.path, path);
    const status = await lstat(place).catch(absent);
    if (status === undefined) continue;
    if (status.isDirectory()) {
      merged.push(layer);
      if (layer.opaque.has(path)) break;
    } else if (merged.length > 0 || (status.isCharacterDevice() && status.rdev === 0)) {
      break;
    } else if (status.isSymbolicLink()) {
      return { kind: "link", target: await readlink(place) };
    } else {
      return status.isFile() ? { kind: "file", path: place } : { kind: "other" };
    }
  }
  return merged.length > 0 ? { kind: "folder", folder: { path, layers: merged } } : { kind: "absent" };
}

async function readRegular(place: string, path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const status = await file.stat();
    if (!status.isFile()) throw refused(path, "it is not a regular file");
    const tooLarge = new RuntimeError(
      "resource-exhausted",
      `${path} of the image is larger than ${maxBytes} bytes`,
    );
    if (status.size > maxBytes) throw tooLarge;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) throw tooLarge;
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function absent(error: unknown): undefined {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  throw error;
}

function refused(path: string, why: string): RuntimeError {
  return new RuntimeError("failed-precondition", `${path} of the image: ${why}`);
}
