import { RuntimeError } from "../core/errors.ts";

/** A device's full name, `vendor.com/class=name`; made by {@link parseDeviceName} alone. */
export type DeviceName = string & { readonly brand: "cdi device name" };

/** Prefix of the annotations by which device plugins ask for devices. */
const annotationPrefix = "cdi.k8s.io/";

const label = "[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?";
const device = "[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?";
const kindPattern = new RegExp(`^${label}/${label}$`);
const devicePattern = new RegExp(`^${device}$`);
const maxNameBytes = 512;

/** True for `vendor.com/class`. */
export function isKind(text: string): boolean {
  return text.length <= maxNameBytes && kindPattern.test(text);
}

/** True for the part of a device's name after the `=`. */
export function isDevicePart(text: string): boolean {
  return text.length <= maxNameBytes && devicePattern.test(text);
}

/** The full name of a device of a kind, both checked. */
export function joinName(kind: string, name: string): DeviceName {
  return `${kind}=${name}` as DeviceName;
}

/**
 * Reads `vendor.com/class=name`; throws `invalid-argument` that begins with the field.
 *
 * @see https://github.com/cncf-tags/container-device-interface/blob/v1.1.0/SPEC.md#kind
 */
export function parseDeviceName(field: string, text: string): DeviceName {
  const equals = text.indexOf("=");
  const kind = text.slice(0, Math.max(equals, 0));
  if (isKind(kind) && isDevicePart(text.slice(equals + 1))) return text as DeviceName;
  const shown = JSON.stringify(text.slice(0, maxNameBytes));
  throw new RuntimeError("invalid-argument", `${field}: ${shown} is not vendor/class=name`);
}

/**
 * The devices that a container asks for, each once: by field, then by annotations in the order of their keys. Only the
 * container's own annotations may be given, which the kubelet writes; those of pods and images come from users
 * (CVE-2026-53492).
 */
export function requestedDevices(
  cdiDevices: readonly string[],
  annotations: Readonly<Record<string, string>>,
): readonly DeviceName[] {
  const names = cdiDevices.map((text, index) => parseDeviceName(`config.CDI_devices[${index}]`, text));
  for (const key of Object.keys(annotations).toSorted()) {
    if (!key.startsWith(annotationPrefix)) continue;
    const listed = (annotations[key] ?? "").split(",");
    names.push(...listed.map((text) => parseDeviceName(`config.annotations[${key}]`, text)));
  }
  return [...new Set(names)];
}
