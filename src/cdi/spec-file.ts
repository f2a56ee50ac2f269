import { parse } from "yaml";
import { asRuntimeError } from "../core/errors.ts";
import type { Edits } from "./edits.ts";
import { bad, readList, readObject, readText, type Fields } from "../core/document-fields.ts";
import { isDevicePart, isKind } from "./names.ts";
import { isEmpty, readEdits } from "./read-edits.ts";
import { isKnownVersion, isNewer, requiredVersion, versions } from "./versions.ts";

/** What a spec file says: devices of one kind, and what all of them change. */
export interface SpecFile {
  readonly version: string;
  /** `vendor.com/class`. */
  readonly kind: string;
  readonly devices: readonly SpecFileDevice[];
  /** Made once where any of the devices is asked for. */
  readonly edits: Edits;
}

export interface SpecFileDevice {
  readonly name: string;
  readonly edits: Edits;
}

/** Uses of one anchor in a YAML file: enough for people, too few for a bomb. */
const maxAliases = 100;

/**
 * Reads the text of a spec file, which `format` is the ending of. Throws `invalid-argument` that names the field: a file is
 * taken whole or not at all, and what it says must be in the version that it claims.
 *
 * @see https://github.com/cncf-tags/container-device-interface/blob/v1.1.0/SPEC.md
 */
export function parseSpecFile(text: string, format: "json" | "yaml"): SpecFile {
  const raw = readObject(readDocument(text, format), "the spec", [
    "cdiVersion",
    "kind",
    "annotations",
    "devices",
    "containerEdits",
  ]);
  const version = readText(raw["cdiVersion"], "cdiVersion");
  if (!isKnownVersion(version)) {
    bad("cdiVersion", `${JSON.stringify(version)} is not one of ${versions.join(", ")}`);
  }
  const kind = readText(raw["kind"], "kind");
  if (!isKind(kind)) bad("kind", `${JSON.stringify(kind)} is not vendor/class`);
  readAnnotations(raw["annotations"], "annotations");
  const devices = readList(raw["devices"], "devices", readDevice);
  if (devices.length === 0) bad("devices", "none");
  const names = devices.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) bad("devices", `${twice} comes twice`);
  const needed = requiredVersion(raw);
  if (isNewer(needed.version, version)) bad(needed.field, `needs version ${needed.version}, not ${version}`);
  return { version, kind, devices, edits: readEdits(raw["containerEdits"], "containerEdits") };
}

function readDevice(value: unknown, where: string): SpecFileDevice {
  const fields = readObject(value, where, ["name", "annotations", "containerEdits"]);
  const name = readText(fields["name"], `${where}.name`);
  if (!isDevicePart(name)) bad(`${where}.name`, `${JSON.stringify(name.slice(0, 100))} is no device's name`);
  readAnnotations(fields["annotations"], `${where}.annotations`);
  const edits = readEdits(fields["containerEdits"], `${where}.containerEdits`);
  return isEmpty(edits) ? bad(`${where}.containerEdits`, "empty") : { name, edits };
}

/** For other readers than runtimes. */
function readAnnotations(value: unknown, where: string): void {
  const names = typeof value === "object" && value !== null ? Object.keys(value) : [];
  const fields: Fields = readObject(value, where, names);
  for (const name of names) readText(fields[name], `${where}.${name}`);
}

/** All scalars of YAML come as text: the fields say what they are. */
function readDocument(text: string, format: "json" | "yaml"): unknown {
  try {
    if (format === "json") return JSON.parse(text);
    return parse(text, { schema: "failsafe", maxAliasCount: maxAliases, logLevel: "error" });
  } catch (thrown) {
    const [reason = ""] = asRuntimeError(thrown).message.split("\n");
    return bad("the spec", `not ${format === "json" ? "JSON" : "YAML"}: ${reason}`);
  }
}
