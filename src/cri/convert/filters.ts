import type { ContainerFilter, PodFilter } from "../../sandbox/index.ts";
import type { ContainerFilter__Output } from "../types/runtime/v1/ContainerFilter.ts";
import type { PodSandboxFilter__Output } from "../types/runtime/v1/PodSandboxFilter.ts";
import { oneOf } from "./fields.ts";

/** Reads a filter on pods; an absent one selects all. */
export function podFilterFromProto(proto: PodSandboxFilter__Output | null): PodFilter {
  if (proto === null) return { id: "", labels: {} };
  const states = { SANDBOX_READY: "ready", SANDBOX_NOTREADY: "not-ready" } as const;
  return {
    id: proto.id,
    labels: proto.label_selector,
    ...(proto.state === null ? {} : { ready: oneOf("filter.state", proto.state.state, states) }),
  };
}

/** Reads a filter on containers; an absent one selects all. */
export function containerFilterFromProto(proto: ContainerFilter__Output | null): ContainerFilter {
  if (proto === null) return { id: "", podId: "", labels: {} };
  const states = {
    CONTAINER_CREATED: "created",
    CONTAINER_RUNNING: "running",
    CONTAINER_EXITED: "exited",
    CONTAINER_UNKNOWN: "unknown",
  } as const;
  return {
    id: proto.id,
    podId: proto.pod_sandbox_id,
    labels: proto.label_selector,
    ...(proto.state === null ? {} : { state: oneOf("filter.state", proto.state.state, states) }),
  };
}
