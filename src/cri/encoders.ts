import type { Container } from "../core/container.ts";
import type { Pod } from "../core/pod.ts";
import { containerStatusToProto, containerToProto } from "./convert/container.ts";
import { podStatusToProto, podToProto } from "./convert/pod.ts";
import { encodeOnce, encoderOf, type Encoder } from "./encoded.ts";
import type { ContainerStatusResponse } from "./types/runtime/v1/ContainerStatusResponse.ts";
import type { PodSandboxStatusResponse } from "./types/runtime/v1/PodSandboxStatusResponse.ts";
import type { RuntimeServiceDefinition } from "./types/runtime/v1/RuntimeService.ts";

/** Encoders of the calls that a kubelet makes every second, about every pod and container. */
export function createEncoders(service: RuntimeServiceDefinition) {
  const podStatus: Encoder<PodSandboxStatusResponse> = encoderOf(service.PodSandboxStatus);
  const containerStatus: Encoder<ContainerStatusResponse> = encoderOf(service.ContainerStatus);
  return {
    listPodSandbox: encodeOnce(encoderOf(service.ListPodSandbox), (pod: Pod) => ({
      items: [podToProto(pod)],
    })),
    streamPodSandboxes: encodeOnce(encoderOf(service.StreamPodSandboxes), (pod: Pod) => ({
      pod_sandboxes: [podToProto(pod)],
    })),
    listContainers: encodeOnce(encoderOf(service.ListContainers), (container: Container) => ({
      containers: [containerToProto(container)],
    })),
    streamContainers: encodeOnce(encoderOf(service.StreamContainers), (container: Container) => ({
      containers: [containerToProto(container)],
    })),
    podSandboxStatus: {
      pod: encodeOnce(podStatus, (pod: Pod) => ({ status: podStatusToProto(pod) })),
      container: encodeOnce(podStatus, (container: Container) => ({
        containers_statuses: [containerStatusToProto(container)],
      })),
      rest: podStatus,
    },
    containerStatus: {
      container: encodeOnce(containerStatus, (container: Container) => ({
        status: containerStatusToProto(container),
      })),
      rest: containerStatus,
    },
  };
}

/** See {@link createEncoders}. */
export type Encoders = ReturnType<typeof createEncoders>;
