import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";

/** What one path of the image is. */
export type Entry =
  | { readonly kind: "folder"; readonly mode: number }
  | { readonly kind: "link"; readonly target: string }
  | {
      readonly kind: "host-file";
      readonly source: string;
      readonly mode: number;
      readonly size: number;
      readonly mtime: number;
    }
  | { readonly kind: "text"; readonly text: string; readonly mode: number };

/** Paths of the image without a leading slash; parents come before what is in them. */
export type ImageTree = Map<string, Entry>;

const maxLinks = 40;

/** Adds a host file under its own path, with the symbolic links that lead to it (`/bin` to `usr/bin` and the like). */
export async function addHostFile(tree: ImageTree, path: string): Promise<void> {
  let pending = path.split("/").filter((part) => part !== "");
  let at = "";
  for (let links = 0; pending.length > 0;) {
    const [name = "", ...rest] = pending;
    pending = rest;
    if (name === "..") {
      at = at.includes("/") ? at.slice(0, at.lastIndexOf("/")) : "";
      continue;
    }
    const place = at === "" ? name : `${at}/${name}`;
    const status = await lstat(join("/", place));
    if (status.isSymbolicLink()) {
      const target = await readlink(join("/", place));
      links += 1;
      if (links > maxLinks) throw new RuntimeError("invalid-argument", `${path}: too many symbolic links`);
      tree.set(place, { kind: "link", target });
      if (target.startsWith("/")) at = "";
      pending = [...target.split("/").filter((part) => part !== "" && part !== "."), ...pending];
    } else if (status.isDirectory()) {
      if (!tree.has(place)) tree.set(place, { kind: "folder", mode: 0o755 });
      at = place;
    } else if (status.isFile() && pending.length === 0) {
      // Special bits stay on the host: a copied setuid binary was not asked for.
      const mode = status.mode & 0o755;
      const mtime = Math.floor(status.mtimeMs / 1000);
      tree.set(place, { kind: "host-file", source: join("/", place), mode, size: status.size, mtime });
    } else {
      throw new RuntimeError("invalid-argument", `${path}: it is not a regular file`);
    }
  }
}
