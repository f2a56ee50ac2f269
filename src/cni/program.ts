import { statSync } from "node:fs";
import { asRuntimeError, RuntimeError, type ErrorCode } from "../core/errors.ts";
import type { PluginConf } from "./conf.ts";
import { requireNetworkName, versionOf } from "./conf.ts";
import { openHostNetwork } from "./host-network.ts";
import { objectField, objectsField, parseJsonObject, stringField, type JsonObject } from "./json.ts";
import { pluginLookup } from "./lookup.ts";
import { builtInPlugins } from "./plugins/built-in.ts";
import { vxlanPlugin } from "./plugins/vxlan.ts";
import type { NetworkCall, Plugin, PluginCall, ValidAttachment } from "./plugin.ts";
import type { PodNamespace } from "./pod-namespace.ts";
import { openIfPresent } from "./pod-namespace.ts";
import { readResult, writeResult } from "./result.ts";
import { cniVersions, isCniVersion, isVersionAtLeast, type CniVersion } from "./version.ts";

/** What a plugin's process is given. */
export interface ProgramInput {
  /** The plugin's name. */
  readonly type: string;
  /** The CNI variables, and what other plugins and nft are run with. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Standard input: the configuration. */
  readonly stdin: string;
  readonly signal: AbortSignal;
  /** For people: standard error. */
  readonly note: (text: string) => void;
}

/** What a plugin's process answers with. */
export interface ProgramOutput {
  readonly stdout: string;
  readonly exitCode: 0 | 1;
}

/** The codes of CNI spec 1.1, section 5, "Error". */
const errorNumbers = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  badEnvironment: 4,
  ioFailure: 5,
  badContent: 6,
  badConfiguration: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  other: 999,
} as const;

/** An error with its code in the protocol. */
class ProtocolError extends Error {
  readonly number: number;

  constructor(name: keyof typeof errorNumbers, message: string) {
    super(message);
    this.number = errorNumbers[name];
  }
}

const containerIdPattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** IFNAMSIZ without its NUL; no slash, colon or blank (dev_valid_name of the kernel). */
const interfaceName = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;

/** The version since which a plugin is asked this. */
const commandsSince: Readonly<Record<string, CniVersion>> = {
  ADD: "0.3.0",
  DEL: "0.3.0",
  CHECK: "0.4.0",
  GC: "1.1.0",
  STATUS: "1.1.0",
};

/** Does one command of the CNI protocol with a built-in plugin, as a plugin's program does. Never throws. */
export async function runPluginProgram(input: ProgramInput): Promise<ProgramOutput> {
  const said = versionSaid(input.stdin);
  try {
    return { stdout: await answer(input), exitCode: 0 };
  } catch (thrown) {
    const { number, message } = protocolError(thrown, input.environment["CNI_COMMAND"]);
    const error = { cniVersion: said, code: number, msg: message };
    return { stdout: `${JSON.stringify(error, undefined, 2)}\n`, exitCode: 1 };
  }
}

async function answer(input: ProgramInput): Promise<string> {
  const command = variable(input, "CNI_COMMAND");
  if (command === "VERSION") {
    const cniVersion = versionSaid(input.stdin);
    return `${JSON.stringify({ cniVersion, supportedVersions: cniVersions })}\n`;
  }
  const since = commandsSince[command];
  if (since === undefined) throw new ProtocolError("badEnvironment", `CNI_COMMAND: unknown: ${command}`);
  const conf = readConf(input, command, since);
  const environment = Object.fromEntries(
    Object.entries(input.environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
  await using host = openHostNetwork(environment);
  const folders = (environment["CNI_PATH"] ?? "").split(":").filter((folder) => folder !== "");
  await using vxlan = vxlanPlugin({ host, onWarning: input.note });
  const builtIn = [...builtInPlugins(host), vxlan];
  const delegate = pluginLookup(builtIn, { folders, environment });
  const plugin = builtIn.find(({ type }) => type === input.type);
  if (plugin === undefined) throw new ProtocolError("badEnvironment", `${input.type} is no built-in plugin`);
  const { signal, note } = input;
  const call: NetworkCall = { conf, signal, note, delegate };
  if (command === "GC") {
    const valid = readValid(conf);
    await plugin.gc(call, valid);
    // The rules of ipMasq, which are there for the next pod: no runtime tells when the network has left its folder.
    if (valid.length === 0) await host.masquerade.remove(stringField(conf, "name", "configuration"), signal);
  } else if (command === "STATUS") await status(plugin, call);
  else return await attach(plugin, command, call, input);
  return "";
}

/** A plugin without a STATUS of its own is as ready as its `ipam` is. */
async function status(plugin: Plugin, call: NetworkCall): Promise<void> {
  if (plugin.status !== undefined) {
    await plugin.status(call);
    return;
  }
  const ipam = stringField(
    objectField(call.conf, "ipam", "configuration") ?? {},
    "type",
    "configuration: ipam",
  );
  if (ipam === "" || ipam === plugin.type) return;
  await (await call.delegate(ipam)).status?.(call);
}

async function attach(
  plugin: Plugin,
  command: string,
  network: NetworkCall,
  input: ProgramInput,
): Promise<string> {
  const containerId = variable(input, "CNI_CONTAINERID", containerIdPattern);
  const ifname = variable(input, "CNI_IFNAME", interfaceName);
  const netns = command === "DEL" ? (input.environment["CNI_NETNS"] ?? "") : variable(input, "CNI_NETNS");
  await using namespace = command === "DEL" ? openIfPresent(netns) : openNamespace(netns, command);
  const previous = objectField(network.conf, "prevResult", "configuration");
  const later: ((call: PluginCall) => Promise<void>)[] = [];
  const call: PluginCall = {
    ...network,
    containerId,
    ifname,
    netns: namespace === undefined ? "" : netns,
    args: input.environment["CNI_ARGS"] ?? "",
    ...(previous === undefined ? {} : { prevResult: readResult(previous, "prevResult") }),
    ...(namespace === undefined ? {} : { namespace }),
    afterwards: (work) => later.push(work),
  };
  if (command === "ADD") {
    const result = writeResult(await plugin.add(call), versionOf(network.conf));
    return `${JSON.stringify(result, undefined, 2)}\n`;
  }
  if (command === "CHECK") await plugin.check(call);
  else await plugin.del(call);
  for (const work of later) await work(call);
  return "";
}

/** ADD in the caller's own namespace would take the host apart (as the reference plugins have it). */
function openNamespace(path: string, command: string): PodNamespace {
  const namespace = openIfPresent(path);
  if (namespace === undefined) {
    throw new ProtocolError("badEnvironment", `CNI_NETNS: ${path} is no network namespace`);
  }
  const own = statSync("/proc/thread-self/ns/net");
  const { ino, dev } = statSync(path);
  if (command !== "ADD" || ino !== own.ino || dev !== own.dev) return namespace;
  void namespace[Symbol.asyncDispose]();
  throw new ProtocolError("badEnvironment", `CNI_NETNS: ${path} is the plugin's own network namespace`);
}

function readConf(input: ProgramInput, command: string, since: CniVersion): PluginConf {
  let conf: JsonObject;
  try {
    conf = parseJsonObject(input.stdin, "configuration");
  } catch (error) {
    throw new ProtocolError("badContent", asRuntimeError(error).message);
  }
  const version = stringField(conf, "cniVersion", "configuration");
  if (!isCniVersion(version)) {
    const supported = cniVersions.join(", ");
    throw new ProtocolError(
      "incompatibleVersion",
      `cniVersion ${JSON.stringify(version)} is not supported: ${supported} are`,
    );
  }
  if (!isVersionAtLeast(version, since)) {
    throw new ProtocolError(
      "incompatibleVersion",
      `${command} came with CNI ${since}, the configuration is ${version}`,
    );
  }
  const name = stringField(conf, "name", "configuration");
  if (name === "") throw new ProtocolError("badConfiguration", "configuration: no name");
  requireNetworkName(name, "configuration");
  return { ...conf, type: input.type };
}

function readValid(conf: JsonObject): ValidAttachment[] {
  const key = "cni.dev/valid-attachments";
  if (conf[key] === undefined) throw new ProtocolError("badConfiguration", `configuration: no ${key}`);
  return objectsField(conf, key, "configuration").map((entry) => ({
    containerID: stringField(entry, "containerID", key),
    ifname: stringField(entry, "ifname", key),
  }));
}

function variable(input: ProgramInput, name: string, pattern?: RegExp): string {
  const value = input.environment[name] ?? "";
  if (value === "") throw new ProtocolError("badEnvironment", `${name} is not set`);
  if (pattern?.test(value) === false) {
    throw new ProtocolError("badEnvironment", `${name}: cannot be ${JSON.stringify(value)}`);
  }
  return value;
}

/** What the configuration says its version is, for answers that need one; the newest where it says nothing. */
function versionSaid(stdin: string): string {
  try {
    return (
      stringField(parseJsonObject(stdin, "configuration"), "cniVersion", "configuration") ||
      cniVersions.at(-1) ||
      ""
    );
  } catch {
    return cniVersions.at(-1) ?? "";
  }
}

const numbersByCode: Partial<Record<ErrorCode, keyof typeof errorNumbers>> = {
  "invalid-argument": "badConfiguration",
  unimplemented: "unsupportedField",
  "not-found": "unknownContainer",
  unavailable: "tryAgainLater",
  "deadline-exceeded": "tryAgainLater",
};

function protocolError(thrown: unknown, command: string | undefined): { number: number; message: string } {
  if (thrown instanceof ProtocolError) return thrown;
  const { code, message } = thrown instanceof RuntimeError ? thrown : asRuntimeError(thrown);
  if (command === "STATUS") return { number: errorNumbers.notAvailable, message };
  return { number: errorNumbers[numbersByCode[code] ?? "other"], message };
}
