import { failure } from "../failure.ts";

/** Checks `linux.cgroupsPath`: absolute from the hierarchies' roots, and nothing in it that leads elsewhere. */
export function parseCgroupPath(path: string): string {
  const parts = path.split("/");
  const clean =
    parts.length > 1 && parts[0] === "" && parts.every((part, index) => index === 0 || isName(part));
  if (!clean) throw failure("invalid-argument", `cgroup path "${path}" is not absolute and plain`);
  return path;
}

/** The folders above the path's own, outermost first: `/a/b/c` has `/a` and `/a/b`. */
export function parentsOf(path: string): string[] {
  const parents: string[] = [];
  let end = path.indexOf("/", 1);
  while (end > 0) {
    parents.push(path.substring(0, end));
    end = path.indexOf("/", end + 1);
  }
  return parents;
}

function isName(part: string): boolean {
  return part !== "" && part !== "." && part !== ".." && !part.includes("\n");
}
