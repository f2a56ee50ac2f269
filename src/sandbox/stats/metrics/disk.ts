import type { IoDetail } from "../numbers.ts";
import type { MetricDefinition, MetricSource, MetricValue } from "./definition.ts";

/** The counters of one operation, by device. */
function byDevice(kind: keyof IoDetail, operation: string) {
  return ({ detail, deviceName }: MetricSource): readonly MetricValue[] =>
    (detail?.io[kind] ?? [])
      .filter((one) => one.operation === operation)
      .map(({ major, minor, value }) => ({ labels: [deviceName(major, minor)], value }));
}

/** A value of the file system that writable layers lie on. */
function ofFilesystem(read: (source: MetricSource) => Omit<MetricValue, "labels"> | undefined) {
  return (source: MetricSource): readonly MetricValue[] => {
    const value = source.filesystem === undefined ? undefined : read(source);
    return value === undefined ? [] : [{ labels: [source.filesystem?.device ?? ""], ...value }];
  };
}

const counted = (name: string, help: string, kind: keyof IoDetail, operation: string): MetricDefinition => ({
  name,
  help,
  kind: "counter",
  labels: ["device"],
  values: byDevice(kind, operation),
});

const measured = (
  name: string,
  help: string,
  read: (source: MetricSource) => Omit<MetricValue, "labels"> | undefined,
): MetricDefinition => ({ name, help, kind: "gauge", labels: ["device"], values: ofFilesystem(read) });

/** Block input and output, and the writable layer. */
export const diskMetrics: readonly MetricDefinition[] = [
  counted("container_fs_reads_bytes_total", "Bytes read.", "bytes", "Read"),
  counted("container_fs_reads_total", "Reads that were done.", "operations", "Read"),
  counted("container_fs_writes_bytes_total", "Bytes written.", "bytes", "Write"),
  counted("container_fs_writes_total", "Writes that were done.", "operations", "Write"),
  {
    name: "container_blkio_device_usage_total",
    help: "Bytes read, written and so on, by operation.",
    kind: "counter",
    labels: ["device", "major", "minor", "operation"],
    values: ({ detail, deviceName }) =>
      (detail?.io.bytes ?? []).map(({ major, minor, operation, value }) => ({
        labels: [deviceName(major, minor), String(major), String(minor), operation],
        value,
      })),
  },
  measured("container_fs_usage_bytes", "What the container has written, in bytes.", ({ layer }) =>
    layer === undefined ? undefined : { value: layer.usedBytes, at: layer.at },
  ),
  measured("container_fs_limit_bytes", "Size of the file system, in bytes.", ({ layer, filesystem }) =>
    layer === undefined ? undefined : { value: filesystem?.totalBytes ?? 0n },
  ),
  measured("container_fs_inodes_total", "Inodes of the file system.", ({ layer, filesystem }) =>
    layer === undefined ? undefined : { value: filesystem?.inodes ?? 0n },
  ),
  measured("container_fs_inodes_free", "Free inodes of the file system.", ({ layer, filesystem }) =>
    layer === undefined ? undefined : { value: filesystem?.freeInodes ?? 0n },
  ),
];
