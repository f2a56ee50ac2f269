/** LuaJIT's FFI library, as far as this program uses it. @see https://luajit.org/ext_ffi_api.html @noSelf */
declare module "ffi" {
  /** A C array of bytes, or a pointer to one; indexes start at 0. */
  export interface Bytes {
    [index: number]: number;
    readonly cType: "uint8_t*";
  }

  /** Any other C object or pointer; `Name` keeps kinds apart. */
  export interface Struct<Name extends string> {
    readonly cType: Name;
  }

  export function cdef(declarations: string): void;
  export function load(library: string): unknown;
  export function string(from: Bytes, length?: number): string;
  export function copy(to: Bytes, from: Bytes | string, length: number): void;
  export function fill(to: Bytes, length: number, byte: number): void;
  export function errno(): number;
  export function sizeof(object: unknown): number;
  function allocate(cType: string, ...values: unknown[]): unknown;
  export { allocate as new };
  export const C: unknown;
}
