import { once } from "node:events";
import type { Writable } from "node:stream";
import type { ReadStream, WriteStream } from "node:tty";

/** Standard input, output and error of the command. */
export interface Terminal {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/** A terminal's size in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly cols: number;
}

/** Writes at the reader's pace. */
export async function write(
  stream: Writable,
  bytes: Uint8Array | string,
  signal?: AbortSignal,
): Promise<void> {
  if (!stream.write(bytes)) await once(stream, "drain", signal === undefined ? {} : { signal });
}

/** The size of the terminal that output goes to; undefined where it goes elsewhere. */
export function sizeOf(stream: NodeJS.WriteStream): TerminalSize | undefined {
  return stream.isTTY ? { rows: stream.rows, cols: stream.columns } : undefined;
}

/** Hands every key to the program at the other end until disposed of; undefined where input is no terminal. */
export function enterRawMode(stdin: NodeJS.ReadStream): Disposable | undefined {
  if (!stdin.isTTY) return undefined;
  const terminal: ReadStream = stdin;
  terminal.setRawMode(true);
  return {
    [Symbol.dispose]: () => {
      terminal.setRawMode(false);
    },
  };
}

/** Calls back whenever the window changes its size, until disposed of. */
export function onResize(stdout: NodeJS.WriteStream, listener: (size: TerminalSize) => void): Disposable {
  const terminal: WriteStream = stdout;
  const changed = (): void => {
    const size = sizeOf(terminal);
    if (size !== undefined) listener(size);
  };
  terminal.on("resize", changed);
  return {
    [Symbol.dispose]: () => {
      terminal.off("resize", changed);
    },
  };
}
