import { RuntimeError } from "../../core/errors.ts";
import { frameHeaderBytes, frameMessage, frameStdinEof, maxFrameBytes } from "../protocol/frame.ts";
import type { ClientMessage } from "../protocol/messages.ts";

/** One frame as received; the payload is a view of the chunk it came in, valid while that is. */
export interface Frame {
  readonly kind: number;
  readonly payload: Buffer;
}

/** Header and payload as one buffer; throws `invalid-argument` for a payload over the protocol's limit. */
export function encodeFrame(kind: number, payload: Uint8Array): Buffer {
  if (payload.length > maxFrameBytes) {
    throw new RuntimeError(
      "invalid-argument",
      `frame of ${payload.length} bytes is over the limit of ${maxFrameBytes}`,
    );
  }
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt8(kind, 4);
  frame.set(payload, frameHeaderBytes);
  return frame;
}

/** A JSON message as a frame; throws `invalid-argument` when it is over the protocol's limit. */
export function encodeMessage(message: ClientMessage): Buffer {
  return encodeFrame(frameMessage, Buffer.from(JSON.stringify(message)));
}

/** Cuts a byte stream into frames; keeps one unfinished frame at most, so never more than the protocol's limit. */
export class FrameDecoder {
  private held: Buffer[] = [];
  private heldBytes = 0;

  /** The frames that `chunk` completes, one by one; throws `internal` where the stream is not ours. */
  *push(chunk: Buffer): Generator<Frame, void> {
    let rest = this.join(chunk);
    while (rest.length >= frameHeaderBytes) {
      const end = frameHeaderBytes + payloadBytes(rest);
      if (rest.length < end) break;
      yield { kind: rest.readUInt8(4), payload: rest.subarray(frameHeaderBytes, end) };
      rest = rest.subarray(end);
    }
    this.hold(rest);
  }

  /** What is held and `chunk` in one buffer, once that can hold a whole frame; else everything stays held. */
  private join(chunk: Buffer): Buffer {
    if (this.heldBytes === 0) return chunk;
    const [first] = this.held;
    const total = this.heldBytes + chunk.length;
    const known = first !== undefined && first.length >= frameHeaderBytes;
    if (known && total < frameHeaderBytes + payloadBytes(first)) {
      this.held.push(chunk);
      this.heldBytes = total;
      return Buffer.alloc(0);
    }
    const joined = Buffer.concat([...this.held, chunk], total);
    this.held = [];
    this.heldBytes = 0;
    return joined;
  }

  private hold(rest: Buffer): void {
    if (rest.length === 0) return;
    this.held = [rest];
    this.heldBytes = rest.length;
  }
}

function payloadBytes(header: Buffer): number {
  const length = header.readUInt32LE(0);
  const kind = header.readUInt8(4);
  if (kind > frameStdinEof) throw new RuntimeError("internal", `unknown frame kind ${kind}`);
  if (length > maxFrameBytes) {
    throw new RuntimeError("internal", `frame of ${length} bytes is over the limit of ${maxFrameBytes}`);
  }
  return length;
}
