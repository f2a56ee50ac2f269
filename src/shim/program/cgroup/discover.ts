import { readFile } from "../ffi/files.ts";
import { readValue } from "./folder.ts";
import { type Hierarchies, parseHierarchies } from "./hierarchies.ts";

/** The mount table is read up to this; a node with a thousand pods has some 300 KB. */
const maxMountinfoBytes = 16 * 1024 * 1024;

/** Finds the host's cgroup hierarchies: once, when the launcher starts; they do not change while it runs. */
export function discoverHierarchies(): Hierarchies {
  const found = parseHierarchies(readFile("/proc/self/mountinfo", maxMountinfoBytes));
  return found.map((hierarchy) =>
    hierarchy.version === 1
      ? hierarchy
      : { ...hierarchy, controllers: wordsOf(readValue(hierarchy.mountPoint, "cgroup.controllers") ?? "") },
  );
}

function wordsOf(text: string): string[] {
  const words: string[] = [];
  for (const [word] of string.gmatch(text, "%S+")) words.push(word ?? "");
  return words;
}
