import { gauge, seconds, type MetricDefinition } from "./definition.ts";

/** Processes, what they hold open, and the container's own life. */
export const processMetrics: readonly MetricDefinition[] = [
  gauge("container_processes", "Processes.", ({ processes }) => processes?.processes),
  gauge("container_threads", "Threads.", ({ usage }) => usage?.tasks),
  gauge("container_threads_max", "Threads allowed; 0 is any number.", ({ usage, detail }) =>
    usage?.tasks === undefined ? undefined : (detail?.tasksMax ?? 0n),
  ),
  gauge(
    "container_file_descriptors",
    "Open file descriptors of all processes.",
    ({ processes }) => processes?.fileDescriptors,
  ),
  gauge("container_sockets", "Open sockets of all processes.", ({ processes }) => processes?.sockets),
  {
    name: "container_ulimits_soft",
    help: "Soft limits of the first process.",
    kind: "gauge",
    labels: ["ulimit"],
    values: ({ maxOpenFiles }) =>
      maxOpenFiles === undefined ? [] : [{ labels: ["max_open_files"], value: maxOpenFiles }],
  },
  gauge("container_start_time_seconds", "Start, in seconds since the epoch.", ({ startedAt }) =>
    seconds(startedAt),
  ),
  gauge("container_last_seen", "When it was measured, in seconds since the epoch.", ({ now }) =>
    seconds(now),
  ),
];
