import { loadServices } from "../definition.ts";
import type { ContainerConfig__Output } from "../types/runtime/v1/ContainerConfig.ts";
import type { LinuxContainerResources__Output } from "../types/runtime/v1/LinuxContainerResources.ts";
import type { PodSandboxConfig__Output } from "../types/runtime/v1/PodSandboxConfig.ts";

interface Messages {
  readonly PodSandboxConfig: PodSandboxConfig__Output;
  readonly ContainerConfig: ContainerConfig__Output;
  readonly LinuxContainerResources: LinuxContainerResources__Output;
}

const types = loadServices().runtime.v1;

/** A message as a handler gets it: put on the wire and read back with the server's options. */
export function fromObject<K extends keyof Messages>(type: K, value: object): Messages[K] {
  const { serialize, deserialize } = types[type];
  return deserialize(serialize(value)) as Messages[K];
}
