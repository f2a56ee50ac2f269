/**
 * What shim and log writer say to each other, one message each on a SOCK_SEQPACKET pair; numbers are doubles.
 *
 * ```
 *  to the writer   kind  lines  bytes  last   then  lines: the lines; `last` is how the last one begins (LineKind)
 *                                                   reopen: the path to go on in
 *                                                   missing: nothing; lines and bytes were dropped by the shim
 *                                                   end: nothing; say now what is missing, no more comes
 *  back, one each  kind  lines  bytes  reason errno reason why something is missing and not said yet, 0 where all is said;
 *                                                   lines: the same, in the log if `reason` is 0, lost otherwise
 *                                                   reopen: errno, or 0 with the new log's descriptor beside it
 * ```
 */
export const messageKind = { lines: 0, reopen: 1, missing: 2, end: 3 } as const;

/** Where the numbers stand in a message to the writer. */
export const headerField = { kind: 0, lines: 1, bytes: 2, last: 3 } as const;
export const headerNumbers = 4;

/** Where the numbers stand in an answer. */
export const answerField = { kind: 0, lines: 1, bytes: 2, reason: 3, errno: 4 } as const;
export const answerNumbers = 5;

const numberBytes = 8;

/** Bytes before the text of a message to the writer. */
export const headerBytes = headerNumbers * numberBytes;

/** Bytes of an answer. */
export const answerBytes = answerNumbers * numberBytes;

/** Bytes of text in one message to the writer. */
export const maxTextBytes = 64 * 1024;

/** Why lines are missing, where it is not the number of an error. */
export const reasons = { none: 0, ceiling: -1, stuck: -2 } as const;
