import type { SpecResources } from "../../../core/oci-runtime-spec.ts";
import { failure } from "../../program/ffi/error.ts";
import { readAllFd, readFile } from "../../program/ffi/files.ts";
import { decode } from "../../program/json.ts";
import { resourcesShape } from "../../program/spec/spec-shape.ts";
import { locked, parseId } from "../container/record.ts";
import { findContainer, requireStatus } from "../container/status.ts";
import type { OptionShapes, Options } from "../options.ts";
import { parseOptions } from "../options.ts";
import type { Command } from "../settings.ts";

const maxResourcesBytes = 1024 * 1024;
const value = { kind: "value" } as const;
const updateOptions: OptionShapes = {
  resources: { kind: "value", short: "r" },
  "blkio-weight": value,
  "cpu-period": value,
  "cpu-quota": value,
  "cpu-burst": value,
  "cpu-rt-period": value,
  "cpu-rt-runtime": value,
  "cpu-share": value,
  "cpu-idle": value,
  "cpuset-cpus": value,
  "cpuset-mems": value,
  memory: value,
  "memory-reservation": value,
  "memory-swap": value,
  "pids-limit": value,
  "kernel-memory": value,
  "kernel-memory-tcp": value,
};

/** `update [options] ID`, or `update --resources FILE|- ID`: other limits for a container that is there. */
export const update: Command = (settings, words) => {
  const options = parseOptions(words, updateOptions);
  const id = parseId(options.rest[0]);
  const file = options.value("resources");
  const resources = file === undefined ? resourcesOf(options) : readResources(file);
  locked(settings.root, id, () => {
    const container = findContainer(settings, id);
    requireStatus(container, "update", ["created", "running", "paused"]);
    for (const warning of container.cgroup.update(resources)) settings.log.warn(warning);
  });
  return 0;
};

function readResources(file: string): SpecResources {
  const text =
    file === "-" ? readAllFd(0, maxResourcesBytes, "standard input") : readFile(file, maxResourcesBytes);
  const resources = decode(text, maxResourcesBytes);
  resourcesShape(resources, "resources");
  return resources as SpecResources;
}

function resourcesOf(options: Options): SpecResources {
  const pids = options.number("pids-limit");
  const weight = options.number("blkio-weight");
  const resources: SpecResources = {
    cpu: {
      shares: options.number("cpu-share"),
      quota: options.number("cpu-quota"),
      period: options.number("cpu-period"),
      burst: options.number("cpu-burst"),
      idle: options.number("cpu-idle"),
      realtimePeriod: options.number("cpu-rt-period"),
      realtimeRuntime: options.number("cpu-rt-runtime"),
      cpus: options.value("cpuset-cpus"),
      mems: options.value("cpuset-mems"),
    },
    memory: {
      limit: byteCount(options, "memory"),
      reservation: byteCount(options, "memory-reservation"),
      swap: byteCount(options, "memory-swap"),
    },
    pids: pids === undefined ? undefined : { limit: pids },
    blockIO: weight === undefined ? undefined : { weight },
  };
  resourcesShape(resources, "resources");
  return resources;
}

const factors: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `1048576`, `32M`, `1g`; -1 for no limit. */
function byteCount(options: Options, name: string): number | undefined {
  const text = options.value(name);
  if (text === undefined) return undefined;
  const [digits, unit] = string.match(string.lower(text), "^(%-?%d+)([kmgt]?)i?b?$");
  const factor = unit === undefined ? undefined : factors[unit];
  const number = tonumber(digits);
  if (number === undefined || factor === undefined) {
    throw failure("invalid-argument", `option --${name}: not a number of bytes: ${text}`);
  }
  return number * factor;
}
