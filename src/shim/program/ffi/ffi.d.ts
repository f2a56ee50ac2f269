/**
 * LuaJIT's FFI library, typed by hand.
 *
 * @see https://luajit.org/ext_ffi_api.html
 */
declare module "ffi" {
  /** Any C pointer or array. */
  export interface Pointer {
    readonly __pointer: true;
  }

  /** `uint8_t *` or `uint8_t[n]`; zero-based, unchecked. */
  export interface Bytes extends Pointer {
    [index: number]: number;
  }

  /** `int *` or `int[n]`; zero-based, unchecked. */
  export interface Ints extends Pointer {
    [index: number]: number;
  }

  /** `double *` or `double[n]`; zero-based, unchecked. */
  export interface Doubles extends Pointer {
    [index: number]: number;
  }

  /** `const char *[n]`: it does not keep its strings alive, hold them as long as C reads it. */
  export interface Strings extends Pointer {
    [index: number]: string | undefined;
  }

  /** A 64-bit C integer, which is no Lua number: read it with `toNumber`. */
  export interface Int64 {
    readonly __int64: true;
  }

  export function cdef(definitions: string): void;
  export const C: unknown;
  export function load(name: string): unknown;
  /** A parsed type: parsing one at every allocation costs time and garbage. */
  export interface Type {
    readonly __type: true;
  }

  function allocate<T extends Pointer>(type: string | Type, ...sizeOrInitial: unknown[]): T;
  function parse(type: string): Type;
  export { parse as typeof };
  export { allocate as new };
  export function cast<T>(type: string, value: unknown): T;
  export function copy(target: Pointer, source: Pointer | string, bytes: number): void;
  export function fill(target: Pointer, bytes: number, value?: number): void;
  export function string(source: Pointer, bytes?: number): string;
  export function sizeof(value: unknown): number;
  export function errno(value?: number): number;
}
