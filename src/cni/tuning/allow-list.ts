import { readFile } from "node:fs/promises";
import { RuntimeError } from "../../core/errors.ts";
import { isErrno } from "../../sys/index.ts";

/** The administrator's list of parameters that may be set: the reference plugin's file. */
export const allowListFile = "/etc/cni/tuning/allowlist.conf";

/**
 * Throws `permission-denied` for a parameter that fits none of the list's patterns, regular expressions a line each.
 * Where there is no list every parameter of the network may be set.
 */
export async function requireAllowed(keys: readonly string[], file: string): Promise<void> {
  const patterns = await readPatterns(file);
  if (patterns === undefined) return;
  for (const key of keys) {
    if (patterns.some((pattern) => pattern.test(key))) continue;
    throw new RuntimeError("permission-denied", `kernel parameter ${key} fits no line of ${file}`);
  }
}

async function readPatterns(file: string): Promise<RegExp[] | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      try {
        return new RegExp(line);
      } catch (error) {
        throw new RuntimeError("failed-precondition", `${file}: not a regular expression: ${line}`, {
          cause: error,
        });
      }
    });
}
