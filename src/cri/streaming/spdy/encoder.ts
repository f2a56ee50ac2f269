import { controlType, flagFin, frameHeaderBytes, spdyVersion, type ResetStatus } from "./frames.ts";

/** The header of a data frame; its bytes follow. */
export function dataHeader(streamId: number, length: number, end: "fin" | "more"): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32BE(streamId, 0);
  header.writeUInt8(end === "fin" ? flagFin : 0, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

/** Accepts a stream; `block` is its compressed header block. */
export function synReply(streamId: number, block: Buffer): Buffer {
  return Buffer.concat([control(controlType.synReply, 0, 4 + block.length), words(streamId), block]);
}

/** Ends a stream at once, both ways. */
export function rstStream(streamId: number, status: ResetStatus): Buffer {
  return Buffer.concat([control(controlType.rstStream, 0, 8), words(streamId, status)]);
}

/** Asks for, or is, a sign of life. */
export function ping(id: number): Buffer {
  return Buffer.concat([control(controlType.ping, 0, 4), words(id)]);
}

/** Ends the connection; streams after `lastStreamId` were not looked at. */
export function goAway(lastStreamId: number, status: number): Buffer {
  return Buffer.concat([control(controlType.goAway, 0, 8), words(lastStreamId, status)]);
}

/** Lets the other side send `delta` more bytes on a stream. */
export function windowUpdate(streamId: number, delta: number): Buffer {
  return Buffer.concat([control(controlType.windowUpdate, 0, 8), words(streamId, delta)]);
}

/** The header of a control frame. */
export function control(type: number, flags: number, length: number): Buffer {
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt16BE(0x8000 | spdyVersion, 0);
  header.writeUInt16BE(type, 2);
  header.writeUInt8(flags, 4);
  header.writeUIntBE(length, 5, 3);
  return header;
}

/** 32-bit numbers, one after the other. */
export function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}
