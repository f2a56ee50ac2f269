import type { SpecHook, SpecHooks } from "../core/oci-runtime-spec.ts";
import type { DeviceEdit, Edits, HookEdit, MountEdit } from "./edits.ts";
import {
  bad,
  readList,
  readObject,
  readOptionalText,
  readPath,
  readText,
  readVariable,
  readWhole,
} from "../core/document-fields.ts";

const maxId = 2 ** 31 - 1;
const maxDeviceNumber = 2 ** 32 - 1;
const maxHookSeconds = 86_400;

const hookNames: readonly (keyof SpecHooks)[] = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/** Fields of `containerEdits` and of what is in it: unknown ones are refused, as they might restrict. */
const known = {
  edits: ["env", "deviceNodes", "netDevices", "hooks", "mounts", "intelRdt", "additionalGids"],
  device: ["path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"],
  mount: ["hostPath", "containerPath", "options", "type"],
  hook: ["hookName", "path", "args", "env", "timeout"],
  intelRdt: [
    "closID",
    "l3CacheSchema",
    "memBwSchema",
    "schemata",
    "enableMonitoring",
    "enableCMT",
    "enableMBM",
  ],
  netDevice: ["hostInterfaceName", "name"],
};

/** Reads a `containerEdits`; throws `invalid-argument` that begins with `where`. */
export function readEdits(value: unknown, where: string): Edits {
  const fields = readObject(value, where, known.edits);
  const { env, deviceNodes, mounts, hooks, additionalGids, intelRdt, netDevices } = fields;
  const rdt = readObject(intelRdt, `${where}.intelRdt`, known.intelRdt);
  const nets = readList(netDevices, `${where}.netDevices`, (item, at) =>
    readObject(item, at, known.netDevice),
  );
  return {
    env: readList(env, `${where}.env`, readVariable),
    devices: readList(deviceNodes, `${where}.deviceNodes`, readDevice),
    mounts: readList(mounts, `${where}.mounts`, readMount),
    hooks: readList(hooks, `${where}.hooks`, readHook),
    // As the format has it: 0 is ignored, so that no spec file gives away root's group.
    additionalGids: readList(additionalGids, `${where}.additionalGids`, readGid).filter((gid) => gid !== 0),
    unsupported: [
      ...(Object.keys(rdt).length > 0 ? ["intelRdt"] : []),
      ...(nets.length > 0 ? ["netDevices"] : []),
    ],
  };
}

/** True where nothing is changed, which is no device. */
export function isEmpty(edits: Edits): boolean {
  return Object.values(edits).every((list: readonly unknown[]) => list.length === 0);
}

function readDevice(value: unknown, where: string): DeviceEdit {
  const fields = readObject(value, where, known.device);
  const hostPath = readOptionalText(fields["hostPath"], `${where}.hostPath`);
  const type = readOptionalText(fields["type"], `${where}.type`);
  if (type !== undefined && !isDeviceType(type)) bad(`${where}.type`, `${JSON.stringify(type)} is unknown`);
  const number = (name: string, most: number): number | undefined =>
    readWhole(fields[name], `${where}.${name}`, most);
  const fileMode = number("fileMode", maxDeviceNumber);
  return {
    path: readPath(fields["path"], `${where}.path`),
    permissions: readPermissions(fields["permissions"], `${where}.permissions`),
    ...given("hostPath", hostPath && readPath(hostPath, `${where}.hostPath`)),
    ...given("type", type),
    ...given("major", number("major", maxDeviceNumber)),
    ...given("minor", number("minor", maxDeviceNumber)),
    ...given("fileMode", fileMode === undefined ? undefined : fileMode & 0o7777),
    ...given("uid", number("uid", maxId)),
    ...given("gid", number("gid", maxId)),
  };
}

function isDeviceType(text: string): text is NonNullable<DeviceEdit["type"]> {
  return ["b", "c", "u", "p"].includes(text);
}

function readPermissions(value: unknown, where: string): string {
  const text = readOptionalText(value, where) ?? "rwm";
  if (text === "none") return "";
  return /^[rwm]+$/.test(text)
    ? [...new Set(text)].join("")
    : bad(where, `${JSON.stringify(text)} is not of r, w, m`);
}

function readMount(value: unknown, where: string): MountEdit {
  const fields = readObject(value, where, known.mount);
  const containerPath = readPath(fields["containerPath"], `${where}.containerPath`);
  if (/^\/[/.]*$/.test(containerPath)) bad(`${where}.containerPath`, "a mount over the root");
  return {
    hostPath: readText(fields["hostPath"], `${where}.hostPath`) || bad(`${where}.hostPath`, "empty"),
    containerPath,
    ...given("type", readOptionalText(fields["type"], `${where}.type`)),
    options: readList(fields["options"], `${where}.options`, readText),
  };
}

function readHook(value: unknown, where: string): HookEdit {
  const fields = readObject(value, where, known.hook);
  const name = readText(fields["hookName"], `${where}.hookName`);
  const when = hookNames.find((one) => one === name);
  if (when === undefined) return bad(`${where}.hookName`, `${JSON.stringify(name)} is unknown`);
  const timeout = readWhole(fields["timeout"], `${where}.timeout`, maxHookSeconds);
  if (timeout === 0) bad(`${where}.timeout`, "0 is no time");
  const hook: SpecHook = {
    path: readPath(fields["path"], `${where}.path`),
    args: readList(fields["args"], `${where}.args`, readText),
    env: readList(fields["env"], `${where}.env`, readVariable),
    ...given("timeout", timeout),
  };
  return { when, hook };
}

function readGid(value: unknown, where: string): number {
  return readWhole(value, where, maxId) ?? bad(where, "missing");
}

function given<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}
