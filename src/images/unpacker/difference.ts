import { join, parentOf } from "./paths.ts";
import { createFingerprints, type Fingerprints } from "./tree-digest.ts";
import { walk, type Found } from "./walk.ts";
import { isAllowed } from "./xattrs.ts";

/** Where a copied tree and the tree that it is a copy of are not the same. */
export interface Difference {
  /** What is new or not as it was, each after the folder that it is in. */
  changed(found: Found): void;
  /** What is as it was. */
  kept(found: Found): void;
  /** A path that is gone, by its folder and name. */
  gone(folder: string, name: string): void;
}

/**
 * Compares a copy of an image's tree, which a container has written to, with the layers that it was made of, topmost first.
 * Contents are compared wherever the rest agrees: neither size and times, which a container can set, nor what was moved
 * about tell that a file is as it was. Times of folders do not count.
 */
export function compare(copy: number, layers: readonly number[], difference: Difference): void {
  const fingerprints = createFingerprints(isAllowed);
  const before = index(layers, fingerprints);
  const folders = new LuaTable<string, boolean>();
  walk([copy], "applied", (found) => {
    if (found.kind === "folder") folders.set(found.path, true);
    const same = before.get(found.path) === fingerprints.of(found);
    before.delete(found.path);
    if (same) difference.kept(found);
    else if (found.kind !== "socket") difference.changed(found);
  });
  const gone: string[] = [];
  for (const [path] of before) if (folders.has(parentOf(path))) gone.push(path);
  table.sort(gone);
  for (const path of gone) {
    const folder = parentOf(path);
    difference.gone(folder, folder === "" ? path : string.sub(path, folder.length + 2));
  }
}

function index(layers: readonly number[], fingerprints: Fingerprints): LuaTable<string, string> {
  const found = new LuaTable<string, string>();
  walk(layers, "applied", (one) => {
    found.set(one.path, fingerprints.of(one));
  });
  return found;
}

/** The name by which a layer says that a path is gone (OCI image spec, layer.md#whiteouts). */
export function whiteoutOf(folder: string, name: string): string {
  return join(folder, `.wh.${name}`);
}
