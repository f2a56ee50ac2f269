import type { Container } from "../core/container.ts";
import type { Pod } from "../core/pod.ts";

/** Conditions on pods, all of which must hold; an absent or empty one always does. */
export interface PodFilter {
  /** An id or a prefix of one. */
  readonly id: string;
  readonly ready?: "ready" | "not-ready";
  readonly labels: Readonly<Record<string, string>>;
}

/** Conditions on containers, all of which must hold; an absent or empty one always does. */
export interface ContainerFilter {
  readonly id: string;
  readonly podId: string;
  readonly state?: "created" | "running" | "exited" | "unknown";
  readonly labels: Readonly<Record<string, string>>;
}

/** True of what was made, or is being made, and of which no caller has the id. */
export function isUnclaimed(record: Pod | Container): boolean {
  return record.delivery === "unclaimed";
}

/** True where clients are to see a pod or container in lists: not in the making, and not unclaimed. */
export function isShown(record: Pod | Container): boolean {
  return record.state.state !== "creating" && !isUnclaimed(record);
}

/** True where a pod is to be listed. */
export function selectsPod(filter: PodFilter, pod: Pod): boolean {
  return (
    isShown(pod) &&
    pod.id.startsWith(filter.id) &&
    (filter.ready === undefined || pod.state.state === filter.ready) &&
    hasLabels(pod.config.labels, filter.labels)
  );
}

/** True where a container is to be listed. */
export function selectsContainer(filter: ContainerFilter, container: Container): boolean {
  return (
    isShown(container) &&
    container.id.startsWith(filter.id) &&
    container.podId.startsWith(filter.podId) &&
    (filter.state === undefined || container.state.state === filter.state) &&
    hasLabels(container.config.labels, filter.labels)
  );
}

function hasLabels(
  labels: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
