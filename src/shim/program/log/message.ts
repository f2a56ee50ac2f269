/**
 * What shim and log writer say to each other, one message each on a SOCK_SEQPACKET pair. To the writer: a header of
 * {@link headerBytes} (kind, number of lines, little-endian) and the lines, or the path of a log to go on in. Back,
 * one for each: four ints (kind, lines that could not be written, errno, 0), with the new log's descriptor for a
 * reopened one.
 */
export const messageKind = { lines: 0, reopen: 1 } as const;

/** Bytes before the text of a message to the writer. */
export const headerBytes = 8;

/** Bytes of text in one message to the writer. */
export const maxTextBytes = 64 * 1024;

/** Ints of an answer. */
export const answerInts = 4;

/** The line that stands in a log for those that are missing. */
export function missingLines(time: string, lines: number, reason: string): string {
  return `${time} stderr F berth: ${lines} lines of this log are missing here: ${reason}\n`;
}
