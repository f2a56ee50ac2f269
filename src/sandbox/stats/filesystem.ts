import { readFileSync } from "node:fs";
import { statfs, type FileSystem } from "../../sys/index.ts";
import { deviceOf } from "./hierarchies.ts";

/** Describes the file system that a folder lies on each time it is asked; its device is looked up once. */
export function describeLayersFilesystem(
  folder: string,
): () => Promise<FileSystem & { readonly device: string }> {
  const device = deviceOf(readFileSync("/proc/self/mountinfo", "utf8"), folder);
  return async () => ({ ...(await statfs(folder)), device });
}
