import { DataType, load, open } from "ffi-rs";
import { RuntimeError } from "../core/errors.ts";

/**
 * How a value crosses into C.
 *
 * - `i32`, `u32`, `i64`: a number; `i64` also takes a bigint, for what is above 2^53.
 * - `bytes`: a Buffer's own memory, which C may write, or null for NULL. It must be as long as C expects.
 * - `text`: a NUL-terminated copy of a string; a NUL inside is refused.
 * - `pointer`: an opaque pointer that a call with {@link ResultKind} `pointer` gave.
 */
export type ParameterKind = "i32" | "u32" | "i64" | "bytes" | "text" | "pointer";

/** How the result comes back; `i64` is a number and must stay below 2^53, `bigint` holds all 64 bits. */
export type ResultKind = "void" | "i32" | "u32" | "i64" | "bigint" | "pointer";

declare const pointerBrand: unique symbol;

/** A C pointer that this process only passes on. */
export interface Pointer {
  readonly [pointerBrand]: true;
}

interface ParameterTypes {
  i32: number;
  u32: number;
  i64: number | bigint;
  bytes: Buffer | null;
  text: string;
  pointer: Pointer;
}

interface ResultTypes {
  void: undefined;
  i32: number;
  u32: number;
  i64: number;
  bigint: bigint;
  pointer: Pointer;
}

/** The values that a list of parameter kinds stands for. */
export type ParameterValues<P extends readonly ParameterKind[]> = { [I in keyof P]: ParameterTypes[P[I]] };

/** What a C function returned, and errno as it stood right after; meaningful only where the result says failure. */
export interface CallResult<T> {
  readonly value: T;
  readonly errno: number;
}

/** A C function with a fixed signature. */
export interface CFunction<P extends readonly ParameterKind[], R extends ResultKind> {
  /** Calls on this thread; 3 to 5 µs and the call's own time, during which the event loop stands still. */
  (...values: ParameterValues<P>): CallResult<ResultTypes[R]>;
  /** Calls on a thread of libuv's pool, 30 µs more: for what may wait in the kernel. Never for what acts on the calling thread (setns, capget). */
  inThread(...values: ParameterValues<P>): Promise<CallResult<ResultTypes[R]>>;
}

/**
 * A shared library, opened at its first call. One that is missing throws `failed-precondition` with the name of the
 * Debian package that holds it.
 */
export class SharedLibrary {
  readonly soname: string;
  readonly debianPackage: string;
  #opened = false;

  constructor(soname: string, debianPackage: string) {
    this.soname = soname;
    this.debianPackage = debianPackage;
  }

  /** Opens the library now, so that a start-up check can tell that it is missing. */
  open(): void {
    if (this.#opened) return;
    try {
      open({ library: this.soname, path: this.soname });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RuntimeError(
        "failed-precondition",
        `cannot load ${this.soname} (Debian package ${this.debianPackage}): ${reason}`,
        { cause: error },
      );
    }
    this.#opened = true;
  }

  /** Declares a function. A variadic one is declared as it is called: the integer arguments travel alike on Linux. */
  function<const P extends readonly ParameterKind[], R extends ResultKind>(
    name: string,
    parameters: P,
    result: R,
  ): CFunction<P, R> {
    const prepare = (values: readonly unknown[]): CallParameters => {
      this.open();
      const converted = values.map((value, index) => convert(name, parameters[index], value));
      return {
        library: this.soname,
        funcName: name,
        retType: resultDataTypes[result],
        paramsType: converted.map(([type]) => type),
        paramsValue: converted.map(([, value]) => value),
      };
    };
    const call = (...values: unknown[]): CallResult<unknown> =>
      finish(load({ ...prepare(values), errno: true }) as RawResult);
    const inThread = async (...values: unknown[]): Promise<CallResult<unknown>> => {
      const prepared = prepare(values);
      const raw = (await load({ ...prepared, errno: true, runInNewThread: true })) as RawResult;
      keepAlive(prepared.paramsValue);
      return finish(raw);
    };
    return Object.assign(call, { inThread }) as unknown as CFunction<P, R>;
  }
}

/** The C library. */
export const libc = new SharedLibrary("libc.so.6", "libc6");

interface RawResult {
  readonly value: unknown;
  readonly errnoCode: number;
}

interface CallParameters {
  readonly library: string;
  readonly funcName: string;
  readonly retType: DataType;
  readonly paramsType: DataType[];
  readonly paramsValue: unknown[];
}

const resultDataTypes: Record<ResultKind, DataType> = {
  void: DataType.Void,
  i32: DataType.I32,
  u32: DataType.U32,
  i64: DataType.I64,
  bigint: DataType.BigInt,
  pointer: DataType.External,
};

function finish(raw: RawResult): CallResult<unknown> {
  return { value: raw.value, errno: raw.errnoCode };
}

function convert(name: string, kind: ParameterKind | undefined, value: unknown): [DataType, unknown] {
  switch (kind) {
    case "i32":
      return [DataType.I32, value];
    case "u32":
      return [DataType.U32, value];
    case "i64":
      return [typeof value === "bigint" ? DataType.BigInt : DataType.I64, value];
    case "bytes":
      return value === null ? [DataType.I64, 0] : [DataType.U8Array, value];
    case "text":
      return [DataType.U8Array, terminated(name, value as string)];
    case "pointer":
      return [DataType.External, value];
    case undefined:
      throw new RuntimeError("internal", `${name}: more arguments than declared`);
  }
}

function terminated(name: string, text: string): Buffer {
  if (text.includes("\0")) {
    throw new RuntimeError("invalid-argument", `${name}: NUL in ${JSON.stringify(text)}`);
  }
  return Buffer.from(`${text}\0`);
}

/** Holds on to the Buffers of a call on another thread: the collector does not see that C still uses them. */
function keepAlive(_values: readonly unknown[]): void {
  // Being called after the wait is all that is needed.
}
