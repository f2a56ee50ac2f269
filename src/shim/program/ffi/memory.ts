import * as ffi from "ffi";
import type { Bytes, Doubles, Int64, Ints, Pointer } from "ffi";

export type { Bytes, Doubles, Int64, Ints, Pointer, Strings } from "ffi";

const byteArray = ffi.typeof("uint8_t[?]");
const intArray = ffi.typeof("int[?]");

declare const add: LuaAddition<Pointer, number, Bytes>;

/** `pointer + bytes`; the result does not keep the memory alive. */
export function offset(pointer: Bytes, bytes: number): Bytes {
  return add(pointer, bytes);
}

/** Zeroed memory, owned by the garbage collector. */
export function bytes(count: number): Bytes {
  return ffi.new<Bytes>(byteArray, count);
}

/** Zeroed ints, owned by the garbage collector. */
export function ints(count: number): Ints {
  return ffi.new<Ints>(intArray, count);
}

/** Zeroed doubles, owned by the garbage collector. */
export function doubles(count: number): Doubles {
  return ffi.new<Doubles>("double[?]", count);
}

/** The same memory as doubles. */
export function asDoubles(pointer: Bytes): Doubles {
  return ffi.cast<Doubles>("double *", pointer);
}

/** An array of unsigned ids (uid_t, gid_t); one element longer, so that an empty one has an address. */
export function ids(values: readonly number[]): Ints {
  const array = ffi.new<Ints>("uint32_t[?]", values.length + 1);
  for (let i = 0; i < values.length; i++) array[i] = values[i] as number;
  return array;
}

/** Copies C memory into a Lua string. */
export function toText(pointer: Pointer, count: number): string {
  return ffi.string(pointer, count);
}

/** Copies a NUL-terminated C string. */
export function toTextZ(pointer: Pointer): string {
  return ffi.string(pointer);
}

/** memcpy(3). */
export function copy(target: Pointer, source: Pointer | string, count: number): void {
  ffi.copy(target, source, count);
}

/** memset(3) to zero. */
export function clear(target: Pointer, count: number): void {
  ffi.fill(target, count);
}

/** sizeof. */
export function sizeOf(value: Pointer): number {
  return ffi.sizeof(value);
}

/** A 64-bit integer as a number: exact below 2^53. */
export function toNumber(value: Int64 | number): number {
  return tonumber(value) ?? 0;
}

/** An address as an integer, for structs whose fields are __u64. */
export function address(pointer: Pointer): Int64 {
  return ffi.cast<Int64>("uint64_t", ffi.cast("uintptr_t", pointer));
}

/** Any ffi type; for the few that have no wrapper here. */
export function allocate<T extends Pointer>(type: string, count?: number): T {
  return count === undefined ? ffi.new<T>(type) : ffi.new<T>(type, count);
}
