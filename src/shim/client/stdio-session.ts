import type { RuntimeError } from "../../core/errors.ts";
import { frameStdin, frameStdinEof, maxFrameBytes } from "../protocol/frame.ts";
import type { Channel } from "./channel.ts";
import type { Wait } from "./wait.ts";

/** What exec and attach have in common: a connection that carries one process's stdio. */
export class StdioSession {
  protected readonly channel: Channel;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  /** Resolves once the connection is gone, with the reason. */
  get closed(): Promise<RuntimeError> {
    return this.channel.closed;
  }

  /** Sends bytes to standard input; resolves when more may be sent. */
  async writeStdin(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += maxFrameBytes) {
      await this.channel.sendFrame(frameStdin, bytes.subarray(offset, offset + maxFrameBytes));
    }
  }

  /** Says that no more bytes come for standard input; output goes on. */
  async closeStdin(): Promise<void> {
    await this.channel.sendFrame(frameStdinEof, new Uint8Array());
  }

  /** Sets the size of the process's tty, in characters. */
  async resize(rows: number, cols: number, wait: Wait = {}): Promise<void> {
    await this.channel.request({ type: "resize", rows, cols }, () => undefined, wait);
  }

  /** Cuts the connection: an exec's process is killed with its descendants, an attached container goes on. */
  close(): void {
    this.channel.close();
  }
}
