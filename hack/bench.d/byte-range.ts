/** The first and last byte that are asked for. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * What a Range header (RFC 9110 14.2) asks of a body of `size` bytes. Undefined where the whole is to be sent: without a
 * header, or for one with several ranges or another unit.
 */
export function byteRange(header: string | undefined, size: number): ByteRange | "unsatisfiable" | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined || last === undefined || (first === "" && last === "")) return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
  return start < size && start <= end ? { start, end } : "unsatisfiable";
}
