import { O, S } from "../ffi/constants.ts";
import { E, errno, failure, sysError } from "../ffi/error.ts";
import { close, fstat, isType, listDir, open } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";

/** Where SELinux keeps a file's label (xattr(7)). */
const attribute = "security.selinux";

/** Folders within folders; each on the way holds a descriptor. */
const maxDepth = 500;

/**
 * Gives a volume of the request, with all that is in it, the label of the container's files. It goes from folder to folder
 * by descriptor and follows no link: another container may be at work in the same volume. A file system without labels is
 * left as it is. A folder of the system is `invalid-argument`: its label is everybody's.
 */
export function relabel(source: string, label: string): void {
  const top = open(source, O.PATH);
  const [ok, thrown] = pcall(() => {
    // By its own name, as the source may be a link to it.
    const [path] = string.gsub(source, "/+$", "");
    const isFolder = isType(fstat(top), S.IFDIR);
    if (isFolder && isOfSystem(top)) {
      throw failure("invalid-argument", `mount of ${source}: selinux_relabel of a folder of the system`);
    }
    if (!setLabel("its target", `/proc/self/fd/${top}`, label, path)) return;
    if (isFolder) relabelBelow(top, path, label, 0);
  });
  close(top);
  if (!ok) throw thrown;
}

/** The root, and what lies in it. */
function isOfSystem(folder: number): boolean {
  const parent = C.openat(folder, "..", O.PATH | O.DIRECTORY | O.CLOEXEC, 0);
  if (parent < 0) throw sysError("open", "..");
  const root = open("/", O.PATH);
  const answer = isSame(folder, root) || isSame(parent, root);
  close(root);
  close(parent);
  return answer;
}

function isSame(one: number, other: number): boolean {
  return identity(one) === identity(other);
}

function identity(fd: number): string {
  const { ino, dev_major, dev_minor } = fstat(fd);
  return `${dev_major}:${dev_minor}:${tostring(ino)}`;
}

function relabelBelow(folder: number, path: string, label: string, depth: number): void {
  if (depth >= maxDepth) throw failure("resource-exhausted", `${path}: folders nest deeper than ${maxDepth}`);
  for (const name of listDir(".", folder)) {
    const shown = `${path}/${name}`;
    if (!setLabel("itself", `/proc/self/fd/${folder}/${name}`, label, shown)) continue;
    const fd = C.openat(folder, name, O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC, 0);
    if (fd < 0) {
      requireNoFolder(errno(), shown);
      continue;
    }
    const [ok, thrown] = pcall(relabelBelow, fd, shown, label, depth + 1);
    close(fd);
    if (!ok) throw thrown;
  }
}

/** Files and links have nothing below them; what is gone has not either. */
function requireNoFolder(number: number, path: string): void {
  if (number === E.NOTDIR || number === E.LOOP || number === E.NOENT) return;
  throw sysError("open", path, number);
}

/** Of a link `itself` or `its target`. False where there is nothing to label: a file that is gone, a file system without labels. */
function setLabel(of: "itself" | "its target", path: string, label: string, shown: string): boolean {
  const result =
    of === "itself"
      ? C.lsetxattr(path, attribute, label, label.length, 0)
      : C.setxattr(path, attribute, label, label.length, 0);
  if (result === 0) return true;
  const number = errno();
  if (number === E.OPNOTSUPP || number === E.NOENT) return false;
  throw sysError(`label ${label} of`, shown, number);
}
