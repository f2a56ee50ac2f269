import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../core/errors.ts";
import { requirePluginType } from "./conf.ts";
import { externalPlugin, type ExternalPluginOptions } from "./external.ts";
import type { Plugin } from "./plugin.ts";

/** Finds a plugin by the `type` in a configuration: the built-in one of that name, else a program. */
export type PluginLookup = (type: string) => Promise<Plugin>;

/** Looks among the built-in plugins, then in the folders; a type that is nowhere throws `failed-precondition`. */
export function pluginLookup(builtIn: readonly Plugin[], options: ExternalPluginOptions): PluginLookup {
  const byType = new Map(builtIn.map((plugin) => [plugin.type, plugin]));
  return async (type) => {
    requirePluginType(type, "cni");
    return byType.get(type) ?? externalPlugin(type, await findProgram(type, options.folders), options);
  };
}

async function findProgram(type: string, folders: readonly string[]): Promise<string> {
  for (const folder of folders) {
    const path = join(folder, type);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  throw new RuntimeError(
    "failed-precondition",
    `cni plugin ${type} is not built in and not in ${folders.join(", ") || "any folder"}`,
  );
}
