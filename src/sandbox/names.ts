import type { Container, ContainerMetadata } from "../core/container.ts";
import type { PodId } from "../core/ids.ts";
import type { Pod, PodMetadata } from "../core/pod.ts";

/** The name of a pod or container: one try, told from the others at the same thing by its number. */
export interface AttemptName {
  /** The same for all tries. */
  readonly series: string;
  readonly attempt: number;
}

/** The name of a pod. */
export function podAttempt({ name, namespace, uid, attempt }: PodMetadata): AttemptName {
  return { series: JSON.stringify(["pod", namespace, name, uid]), attempt };
}

/** The name of a container, which counts within its pod. */
export function containerAttempt(podId: PodId, { name, attempt }: ContainerMetadata): AttemptName {
  return { series: JSON.stringify(["container", podId, name]), attempt };
}

/** The name that a record holds. */
export function attemptOf(record: Pod | Container): AttemptName {
  return "podId" in record
    ? containerAttempt(record.podId, record.config.metadata)
    : podAttempt(record.config.metadata);
}

/** The text under which a name is held and its creation is joined. */
export function keyOf({ series, attempt }: AttemptName): string {
  return `${series} ${attempt}`;
}

/** How a pod is named to people. */
export function describePod({ name, namespace, attempt }: PodMetadata): string {
  return `${namespace}/${name} (attempt ${attempt})`;
}

/** How a container is named to people. */
export function describeContainer(podId: PodId, { name, attempt }: ContainerMetadata): string {
  return `${name} (attempt ${attempt}) in pod ${podId}`;
}
