import { readFile } from "node:fs/promises";
import { RuntimeError } from "../../core/errors.ts";
import type { ExitRecord } from "../protocol/messages.ts";
import { exitRecordOf } from "./replies.ts";

/**
 * Reads the record that a shim left: undefined where there is none yet (no file, or only its preallocated space);
 * `internal` names a file that holds something else.
 */
export async function readExitRecord(path: string): Promise<ExitRecord | undefined> {
  const text = await readFile(path, "utf8").catch((thrown: unknown) => {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return "";
    throw new RuntimeError("internal", `exit record ${path} cannot be read`, { cause: thrown });
  });
  const json = text.replace(/\0+$/, "").trim();
  if (json === "") return undefined;
  try {
    return exitRecordOf(JSON.parse(json));
  } catch (thrown) {
    throw new RuntimeError("internal", `exit record ${path} is damaged`, { cause: thrown });
  }
}
