/** Turns a record into the bytes of the store and back. */
export interface Codec<T> {
  encode(value: T): string;
  decode(text: string): T;
}

const bigintKey = "$bigint";

/** JSON in which a `bigint` is written as `{"$bigint":"…"}`. */
export function jsonCodec<T>(): Codec<T> {
  return {
    encode: (value) => JSON.stringify(value, writeBigint),
    decode: (text) => JSON.parse(text, readBigint) as T,
  };
}

function writeBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? { [bigintKey]: value.toString() } : value;
}

function readBigint(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !(bigintKey in value)) return value;
  return BigInt(value[bigintKey] as string);
}
