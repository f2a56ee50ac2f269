import { RuntimeError } from "../core/errors.ts";
import {
  booleanField,
  objectsField,
  parseJsonObject,
  stringField,
  stringsField,
  type JsonObject,
} from "./json.ts";
import { isCniVersion, newestCommon, type CniVersion } from "./version.ts";

/** One plugin's part of a network's configuration, as written in the file. */
export interface PluginConf extends JsonObject {
  readonly type: string;
}

/** A network: a chain of plugins (CNI spec 1.1, section 1). */
export interface NetworkConf {
  readonly name: string;
  readonly cniVersion: CniVersion;
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  readonly plugins: readonly PluginConf[];
}

/** CNI spec 1.1, section 1: what a network may be called; the name becomes part of paths. */
const networkName = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** A plugin is a file directly in the plugin folders (CVE-2021-20206). */
const pluginType = /^[a-zA-Z0-9_-]+$/;

/** Throws `invalid-argument` where a plugin's name could be a path. */
export function requirePluginType(type: string, what: string): void {
  if (!pluginType.test(type)) {
    throw new RuntimeError("invalid-argument", `${what}: not a plugin's name: ${JSON.stringify(type)}`);
  }
}

/** Throws `invalid-argument` where a network's name could be a path. */
export function requireNetworkName(name: string, what: string): void {
  if (!networkName.test(name)) {
    throw new RuntimeError("invalid-argument", `${what}: not a network's name: ${JSON.stringify(name)}`);
  }
}

/** Reads a `.conflist` file, `more` plugins behind its own. Throws `invalid-argument` with `what`, which names the file. */
export function parseConfList(text: string, what: string, more: readonly PluginConf[] = []): NetworkConf {
  const object = parseJsonObject(text, what);
  const inlined = objectsField(object, "plugins", what).map((plugin, index) =>
    readPlugin(plugin, `${what}: plugins[${index}]`),
  );
  return readNetwork(object, [...inlined, ...more], what);
}

/**
 * The name of the folder, beside a `.conflist` file, whose plugins come behind the file's own: the network's, unless the
 * list says `loadOnlyInlinedPlugins` (CNI spec 1.1).
 */
export function pluginsFolder(text: string, what: string): string | undefined {
  const object = parseJsonObject(text, what);
  const name = stringField(object, "name", what);
  requireNetworkName(name, what);
  return switchField(object, "loadOnlyInlinedPlugins", what) ? undefined : name;
}

/** Reads a file that holds one plugin of a list. */
export function parsePluginConf(text: string, what: string): PluginConf {
  return readPlugin(parseJsonObject(text, what), what);
}

/** Reads a `.conf` or `.json` file, which holds a single plugin. */
export function parseSingleConf(text: string, what: string): NetworkConf {
  const object = parseJsonObject(text, what);
  return readNetwork(object, [readPlugin(object, what)], what);
}

function readNetwork(object: JsonObject, plugins: readonly PluginConf[], what: string): NetworkConf {
  const name = stringField(object, "name", what);
  requireNetworkName(name, what);
  if (plugins.length === 0) throw new RuntimeError("invalid-argument", `${what}: no plugins`);
  return {
    name,
    cniVersion: readVersion(object, what),
    disableCheck: switchField(object, "disableCheck", what),
    disableGc: switchField(object, "disableGC", what),
    plugins,
  };
}

/** `cniVersions` (1.1) lists alternatives to `cniVersion`; the newest that both sides speak is used. */
function readVersion(object: JsonObject, what: string): CniVersion {
  const single = stringField(object, "cniVersion", what);
  const offered = stringsField(object, "cniVersions", what);
  const version = newestCommon(single === "" ? offered : [...offered, single]);
  if (version !== undefined) return version;
  const given = single === "" && offered.length === 0 ? "none" : JSON.stringify(single || offered);
  throw new RuntimeError("invalid-argument", `${what}: cniVersion ${given} is not among those supported`);
}

/** True, false, or one of them as a word, as libcni takes it. */
function switchField(object: JsonObject, key: string, what: string): boolean {
  const value = object[key];
  const word = typeof value === "string" ? value.toLowerCase() : "";
  if (word === "true" || word === "false") return word === "true";
  return booleanField(object, key, what);
}

function readPlugin(plugin: JsonObject, what: string): PluginConf {
  const type = stringField(plugin, "type", what);
  requirePluginType(type, what);
  return { ...plugin, type };
}

/** The version a plugin's configuration asks results in; configurations passed to plugins always carry one. */
export function versionOf(conf: JsonObject): CniVersion {
  const text = stringField(conf, "cniVersion", "plugin configuration");
  if (!isCniVersion(text)) {
    throw new RuntimeError("invalid-argument", `cniVersion ${JSON.stringify(text)} is not supported`);
  }
  return text;
}

/** The `ipam.type`; empty where there is none. Never throws: DEL must work with what ADD refused. */
export function ipamType(conf: JsonObject): string {
  const ipam = conf["ipam"];
  const type = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : "";
  return typeof type === "string" ? type : "";
}
