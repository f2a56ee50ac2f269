import type { Clock } from "../core/clock.ts";
import type { ContainerId, PodId } from "../core/ids.ts";
import type { Pod } from "../core/pod.ts";
import type { ContainerEntry, PodEntry } from "./inventory.ts";
import { isUnclaimed } from "./selection.ts";

/** What happened to a container, or to a pod, which the CRI reports as a container with the pod's id. */
export interface LifecycleEvent {
  readonly kind: "created" | "started" | "stopped" | "deleted";
  readonly id: ContainerId | PodId;
  /** The pod as it was then. */
  readonly pod: Pod;
  /** Nanoseconds since the epoch; never less than that of the event before. */
  readonly at: bigint;
  /** Whether clients know of it: to them, what nobody claimed has never been there. */
  readonly audience: "clients" | "daemon";
}

/** Told of every event at once, in order; must not wait. */
export type EventListener = (event: LifecycleEvent) => void;

/** Passes on what happens to pods and containers, after it was recorded. */
export class LifecycleEvents {
  readonly #clock: Clock;
  readonly #listeners = new Set<EventListener>();
  #last = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells all listeners. */
  emit(kind: LifecycleEvent["kind"], entry: PodEntry | ContainerEntry): void {
    const now = this.#clock();
    // The clock may be set back; the order of events is not.
    this.#last = now > this.#last ? now : this.#last + 1n;
    const pod = "pod" in entry ? entry.pod.record : entry.record;
    const audience = isUnclaimed(entry.record) ? "daemon" : "clients";
    const event: LifecycleEvent = { kind, id: entry.id, pod, at: this.#last, audience };
    for (const listener of this.#listeners) listener(event);
  }

  /** Adds a listener; returns how to remove it. */
  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }
}
