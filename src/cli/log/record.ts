/** One line of a container's log file: a line of its output or a part of one. */
export interface LogRecord {
  /** RFC 3339 with nanoseconds, as the shim wrote it. */
  readonly time: string;
  readonly stream: "stdout" | "stderr";
  /** Whether the line goes on in the next record of the same stream. */
  readonly partial: boolean;
  readonly content: Buffer;
}

const space = 0x20;

/**
 * Reads a line of the CRI log format, `TIME STREAM TAGS CONTENT`, without its newline; undefined where it is none.
 *
 * @see https://github.com/kubernetes/kubernetes/blob/v1.36.0/pkg/kubelet/kuberuntime/logs/logs.go
 */
export function parseRecord(line: Buffer): LogRecord | undefined {
  const afterTime = line.indexOf(space);
  const afterStream = line.indexOf(space, afterTime + 1);
  const afterTags = line.indexOf(space, afterStream + 1);
  if (afterTime < 0 || afterStream < 0 || afterTags < 0) return undefined;
  const stream = line.toString("latin1", afterTime + 1, afterStream);
  if (stream !== "stdout" && stream !== "stderr") return undefined;
  const [tag] = line.toString("latin1", afterStream + 1, afterTags).split(":");
  if (tag !== "F" && tag !== "P") return undefined;
  return {
    time: line.toString("latin1", 0, afterTime),
    stream,
    partial: tag === "P",
    content: line.subarray(afterTags + 1),
  };
}
