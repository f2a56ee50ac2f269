import { RuntimeError } from "../../core/errors.ts";
import { booleanField, countField, objectsField, type JsonObject } from "../json.ts";
import type { VlanRange } from "../netlink/bridge-vlan.ts";

/** The VLANs of a pod's port. */
export interface PortVlans {
  /** The one whose packets have no tag in the pod. */
  readonly untagged: number;
  /** Whether the gateway belongs into that one; on a trunk alone it is the bridge's. */
  readonly gateway: "vlan" | "bridge";
  readonly trunk: readonly VlanRange[];
  /** What becomes of the VLAN that the bridge puts every port into. */
  readonly defaultVlan: "keep" | "remove";
}

const maxVlan = 4094;
/** Where a trunk alone puts packets without a tag (the reference plugin's choice). */
const nativeVlan = 1;

/** Reads `vlan`, `vlanTrunk` and `preserveDefaultVlan`; undefined where the network has no VLANs. */
export function readPortVlans(conf: JsonObject, what: string): PortVlans | undefined {
  const vlan = countField(conf, "vlan", what) ?? 0;
  if (vlan > maxVlan) throw invalid(what, `vlan: expected 0 to ${maxVlan}, not ${vlan}`);
  const numbers = new Set(objectsField(conf, "vlanTrunk", what).flatMap((entry) => numbersOf(entry, what)));
  const defaultVlan = booleanField(conf, "preserveDefaultVlan", what) ? "keep" : "remove";
  if (vlan === 0 && numbers.size === 0) return undefined;
  // The port's own is without a tag, whatever the trunk says.
  const untagged = vlan === 0 ? nativeVlan : vlan;
  numbers.delete(untagged);
  return { untagged, gateway: vlan === 0 ? "bridge" : "vlan", trunk: rangesOf([...numbers]), defaultVlan };
}

function numbersOf(entry: JsonObject, what: string): number[] {
  const read = (key: string): number | undefined => {
    const value = countField(entry, key, `${what}: vlanTrunk`);
    if (value === undefined || (value >= 1 && value <= maxVlan)) return value;
    throw invalid(what, `vlanTrunk: ${key}: expected 1 to ${maxVlan}, not ${value}`);
  };
  const [id, first, last] = [read("id"), read("minID"), read("maxID")];
  if ((first === undefined) !== (last === undefined)) {
    throw invalid(what, "vlanTrunk: minID and maxID go together");
  }
  const numbers = id === undefined ? [] : [id];
  if (first === undefined || last === undefined) return numbers;
  if (last < first) throw invalid(what, `vlanTrunk: minID ${first} is more than maxID ${last}`);
  return [...numbers, ...Array.from({ length: last - first + 1 }, (_, index) => first + index)];
}

function rangesOf(numbers: readonly number[]): VlanRange[] {
  const ranges: { first: number; last: number }[] = [];
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range?.last === number - 1) range.last = number;
    else ranges.push({ first: number, last: number });
  }
  return ranges;
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
