import { capabilities, confine } from "./confine.ts";
import { compare, whiteoutOf } from "./difference.ts";
import { fail } from "./libc.ts";
import { folderHeader, taken, writeFound } from "./pack-entry.ts";
import { join, parentOf } from "./paths.ts";
import { openTar, plainHeader, type TarEntry, type TarOutput } from "./tar-writer.ts";
import { isOpaque, isWhiteout, openFolders, walk, type Found } from "./walk.ts";

/**
 * `layer`: one folder in overlay's form, its marks as whiteouts (OCI image spec, layer.md); `merged`: what a container
 * sees; `difference`: where the topmost folder, a copy of what the others show, is no longer as they are, as a layer;
 * `completion`: the folders that overlay would show without the owner, mode and times that a lower layer gives them.
 */
export type PackForm = (typeof packForms)[number];
const packForms = ["layer", "merged", "difference", "completion"] as const;

export function isPackForm(text: string): text is PackForm {
  return packForms.some((form) => form === text);
}

/** Pieces of ids, `inside:outside:count`, in which the topmost folder's owners are kept. */
export interface IdMap {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** Reads `inside:outside:count,...`; empty is no map. */
export function parseIdMap(text: string): IdMap[] {
  const map: IdMap[] = [];
  for (const [inside, outside, count] of string.gmatch(text, "(%d+):(%d+):(%d+)")) {
    map.push({
      inside: tonumber(inside) ?? 0,
      outside: tonumber(outside) ?? 0,
      count: tonumber(count) ?? 0,
    });
  }
  return map;
}

/** Writes the tree of `folders`, topmost first, as a tar on standard output. */
export function pack(
  form: PackForm,
  uids: readonly IdMap[],
  gids: readonly IdMap[],
  folders: readonly string[],
): void {
  const roots = openConfined(folders);
  const tar = openTar(1);
  const linked = new LuaTable<string, string>();
  if (form === "difference") packDifference(tar, roots, linked);
  else if (form === "completion") packCompletion(tar, roots);
  else packTree(tar, form, roots, uids, gids, linked);
  tar.end();
}

function packTree(
  tar: TarOutput,
  form: "layer" | "merged",
  roots: readonly number[],
  uids: readonly IdMap[],
  gids: readonly IdMap[],
  linked: LuaTable<string, string>,
): void {
  walk(roots, form === "layer" ? "shown" : "applied", (found) => {
    if (form === "layer" && isWhiteout(found)) {
      writeMark(tar, whiteoutOf(parentOf(found.path), found.name), found.mtime);
      return;
    }
    const owner =
      found.layer === 0
        ? { uid: inside(found, uids, found.uid), gid: inside(found, gids, found.gid) }
        : { uid: found.uid, gid: found.gid };
    writeFound(tar, { ...found, ...owner }, linked);
    if (form === "layer" && found.kind === "folder" && isOpaque(found.name)) {
      writeMark(tar, join(found.path, ".wh..wh..opq"), found.mtime);
    }
  });
}

/** Opens the folders, then leaves this process nothing but them. */
export function openConfined(folders: readonly string[]): number[] {
  let roots: number[] = [];
  confine(folders[0] ?? "", capabilities.read, () => {
    roots = openFolders(folders);
  });
  return roots;
}

function inside(found: Found, map: readonly IdMap[], id: number): number {
  if (map.length === 0) return id;
  for (const piece of map) {
    if (id >= piece.outside && id < piece.outside + piece.count) return piece.inside + id - piece.outside;
  }
  return fail("format", `${found.path}: its owner ${id} is none of the container's`);
}

/** A whiteout or the mark of an opaque folder: an empty file of a reserved name. */
function writeMark(tar: TarOutput, name: string, mtime: number): void {
  tar.entry({ ...plainHeader, name, mode: 0, mtime });
}

/** Entries of folders that are written when something in them is, since a layer's folder gives its owner and mode to those below. */
interface Folders {
  remember(found: Found): void;
  /** Writes the entry of a folder and of those that it is in, each once. */
  tell(path: string): void;
}

function createFolders(tar: TarOutput): Folders {
  const untold = new LuaTable<string, TarEntry>();
  const tell = (path: string): void => {
    if (!untold.has(path)) return;
    if (path !== "") tell(parentOf(path));
    tar.entry(untold.get(path));
    untold.delete(path);
  };
  return {
    tell: (path) => {
      tell(path);
    },
    remember: (found) => {
      if (found.kind === "folder") untold.set(found.path, folderHeader(found, taken(found)));
    },
  };
}

function packCompletion(tar: TarOutput, roots: readonly number[]): void {
  const folders = createFolders(tar);
  walk(roots, "applied", (found, topmost) => {
    folders.remember(found);
    if (found.kind === "folder" && found.layer !== topmost) folders.tell(found.path);
  });
}

/** The ids of a copy are those inside: it is seen through an id-mapped mount. */
function packDifference(tar: TarOutput, roots: readonly number[], linked: LuaTable<string, string>): void {
  const [copy = -1, ...layers] = roots;
  const folders = createFolders(tar);
  compare(copy, layers, {
    kept: (found) => {
      folders.remember(found);
    },
    changed: (found) => {
      folders.remember(found);
      folders.tell(found.kind === "folder" ? found.path : parentOf(found.path));
      if (found.kind !== "folder") writeFound(tar, found, linked);
    },
    gone: (folder, name) => {
      folders.tell(folder);
      writeMark(tar, whiteoutOf(folder, name), 0);
    },
  });
}
