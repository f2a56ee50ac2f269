import type { ServerWritableStream } from "@grpc/grpc-js";
import { RuntimeError } from "../../core/errors.ts";
import type { Containers, LifecycleEvent, LifecycleEvents } from "../../sandbox/index.ts";
import { containerStatusToProto } from "../convert/container.ts";
import { podStatusToProto } from "../convert/pod.ts";
import { serviceError } from "../errors.ts";
import type { ContainerEventResponse } from "../types/runtime/v1/ContainerEventResponse.ts";
import type { GetEventsRequest__Output } from "../types/runtime/v1/GetEventsRequest.ts";

type EventsCall = ServerWritableStream<GetEventsRequest__Output, ContainerEventResponse>;

/** Events that wait for a client that does not read; one more ends its call, and it has to list again. */
export const maxQueuedEvents = 1000;

const kinds = {
  created: "CONTAINER_CREATED_EVENT",
  started: "CONTAINER_STARTED_EVENT",
  stopped: "CONTAINER_STOPPED_EVENT",
  deleted: "CONTAINER_DELETED_EVENT",
} as const;

/**
 * Streams what happens from now on, each event with the pod's status and all its containers' at that moment. Nothing
 * from before the call is told: a client that connects again lists first.
 */
export function getContainerEvents(events: LifecycleEvents, containers: Containers) {
  return (call: EventsCall): void => {
    const queue: ContainerEventResponse[] = [];
    let writable = true;
    const flush = (): void => {
      for (let next = queue[0]; writable && next !== undefined; next = queue[0]) {
        queue.shift();
        writable = call.write(next);
      }
    };
    const stop = events.listen((event) => {
      if (event.audience === "daemon") return;
      if (queue.length >= maxQueuedEvents) {
        stop();
        const problem = `${maxQueuedEvents} events wait to be read; list again and reconnect`;
        call.emit("error", serviceError(new RuntimeError("resource-exhausted", problem)));
        return;
      }
      queue.push(eventToProto(event, containers));
      flush();
    });
    call.on("drain", () => {
      writable = true;
      flush();
    });
    for (const end of ["cancelled", "close", "error"]) call.once(end, stop);
    // The client learns at once that the subscription stands.
    call.sendMetadata(call.metadata.clone());
  };
}

function eventToProto(event: LifecycleEvent, containers: Containers): ContainerEventResponse {
  return {
    container_id: event.id,
    container_event_type: kinds[event.kind],
    created_at: String(event.at),
    pod_sandbox_status: podStatusToProto(event.pod),
    containers_statuses: containers
      .list({ id: "", podId: event.pod.id, labels: {} })
      .map(containerStatusToProto),
  };
}
