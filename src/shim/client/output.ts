import { frameStderr, frameStdout } from "../protocol/frame.ts";

/** Takes bytes that a process wrote; while a returned promise is pending nothing more is read from the shim. */
export type OutputHandler = (bytes: Buffer) => void | Promise<void>;

/** Who takes the output; an absent handler drops it. */
export interface OutputHandlers {
  readonly onStdout?: OutputHandler;
  readonly onStderr?: OutputHandler;
}

/** Hands the bytes of a frame to the handler of its stream. */
export function dispatchOutput(handlers: OutputHandlers, kind: number, bytes: Buffer): void | Promise<void> {
  if (kind === frameStdout) return handlers.onStdout?.(bytes);
  if (kind === frameStderr) return handlers.onStderr?.(bytes);
}
