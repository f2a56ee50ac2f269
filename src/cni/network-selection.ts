import { RuntimeError } from "../core/errors.ts";
import { parseIp, parsePrefix } from "./ip.ts";
import { listField, objectField, requireObject, stringField, stringsField, type JsonObject } from "./json.ts";

/** The annotation by which a pod asks for more networks than its own. */
export const networksAnnotation = "k8s.v1.cni.cncf.io/networks";

/** One network that a pod asks for (Kubernetes Network Custom Resource Definition De-facto Standard 1.3, section 4). */
export interface NetworkSelection {
  /** The name of a list in the configuration folder. */
  readonly name: string;
  /** As written; empty where it is absent. Lists of the folder belong to no namespace. */
  readonly namespace: string;
  /** The wanted interface; empty is the next `netN`. */
  readonly interfaceName: string;
  /** Capability arguments of this attachment alone. */
  readonly capabilities: JsonObject;
  /** What becomes `args.cni` of every plugin's configuration. */
  readonly cniArgs: JsonObject;
}

/** Networks that one pod may ask for. */
export const maxSelections = 16;

/** IFNAMSIZ without its NUL; no slash, colon or blank (dev_valid_name of the kernel). */
const interfacePattern = /^(?!\.{1,2}$)[^\s/:]{1,15}$/;
const macPattern = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;
/** `namespace/name@interface`, of which only the name must be there. */
const shortForm = /^(?:([a-z0-9][a-z0-9.-]*)\/)?([A-Za-z0-9][A-Za-z0-9_.-]*)(?:@([^@]+))?$/;
/** Keys of the standard that must not be passed over in silence. */
const refusedKeys = ["default-route", "infiniband-guid", "ipam-claim-reference"] as const;

/** Reads the annotation, in its short form or as JSON. Throws `invalid-argument`, or `unimplemented` for a key. */
export function parseSelections(text: string): NetworkSelection[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  const selections = trimmed.startsWith("[")
    ? parseJsonForm(trimmed)
    : trimmed.split(",").map(parseShortForm);
  if (selections.length > maxSelections) {
    throw invalid(`more than ${maxSelections} networks`);
  }
  return selections;
}

function parseShortForm(text: string): NetworkSelection {
  const match = shortForm.exec(text.trim());
  if (match === null) throw invalid(`not a network: ${JSON.stringify(text.trim())}`);
  const [, namespace = "", name = "", interfaceName = ""] = match;
  requireInterface(interfaceName, name);
  return { name, namespace, interfaceName, capabilities: {}, cniArgs: {} };
}

function parseJsonForm(text: string): NetworkSelection[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw invalid(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return (list as unknown[]).map((entry, index) => {
    const what = `annotation ${networksAnnotation}: [${index}]`;
    return readSelection(requireObject(entry, what), what);
  });
}

function readSelection(entry: JsonObject, what: string): NetworkSelection {
  const name = stringField(entry, "name", what);
  if (name === "") throw new RuntimeError("invalid-argument", `${what}: no name`);
  for (const key of refusedKeys) {
    if (entry[key] !== undefined) throw new RuntimeError("unimplemented", `${what}: ${key} is not supported`);
  }
  const interfaceName = stringField(entry, "interface", what);
  requireInterface(interfaceName, name);
  return {
    name,
    namespace: stringField(entry, "namespace", what),
    interfaceName,
    capabilities: readCapabilities(entry, what),
    cniArgs: objectField(entry, "cni-args", what) ?? {},
  };
}

function readCapabilities(entry: JsonObject, what: string): JsonObject {
  const ips = stringsField(entry, "ips", what);
  for (const ip of ips) (ip.includes("/") ? parsePrefix : parseIp)(ip);
  const mac = stringField(entry, "mac", what);
  if (mac !== "" && !macPattern.test(mac)) {
    throw new RuntimeError("invalid-argument", `${what}: not a hardware address: ${JSON.stringify(mac)}`);
  }
  const portMappings = listField(entry, "portMappings", what);
  const bandwidth = objectField(entry, "bandwidth", what);
  return {
    ...(ips.length === 0 ? {} : { ips }),
    ...(mac === "" ? {} : { mac }),
    ...(portMappings.length === 0 ? {} : { portMappings }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  };
}

function requireInterface(interfaceName: string, network: string): void {
  if (interfaceName === "" || interfacePattern.test(interfaceName)) return;
  throw invalid(`network ${network}: not an interface's name: ${JSON.stringify(interfaceName)}`);
}

function invalid(problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `annotation ${networksAnnotation}: ${problem}`);
}
