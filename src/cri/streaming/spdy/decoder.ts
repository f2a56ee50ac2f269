import { RuntimeError } from "../../../core/errors.ts";
import {
  controlType,
  flagFin,
  flagUnidirectional,
  frameHeaderBytes,
  maxControlPayloadBytes,
  settingInitialWindow,
  spdyVersion,
  type Frame,
} from "./frames.ts";

/**
 * Where the decoder is in the stream of bytes.
 *
 * ```
 *   header ── data frame ──► data (pieces handed on as they come) ── its end ──► header
 *     └──── control frame ──► control (held until whole) ── its end ──► header
 * ```
 */
type Position =
  | { readonly at: "header" }
  | { readonly at: "data"; readonly streamId: number; readonly fin: boolean; left: number }
  | { readonly at: "control"; readonly type: number; readonly flags: number; readonly length: number };

/** Cuts a byte stream into frames; holds at most one unfinished control frame. */
export class FrameDecoder {
  #rest: Buffer = Buffer.alloc(0);
  #position: Position = { at: "header" };

  /** The frames, or pieces of data frames, that `chunk` brings; throws `invalid-argument` for what is no SPDY/3.1. */
  *push(chunk: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const position = this.#position;
      if (position.at === "header") {
        if (this.#rest.length < frameHeaderBytes) return;
        const empty = this.#begin(this.#take(frameHeaderBytes));
        if (empty !== undefined) yield empty;
      } else if (position.at === "data") {
        if (this.#rest.length === 0) return;
        yield this.#dataPiece(position);
      } else {
        if (this.#rest.length < position.length) return;
        this.#position = { at: "header" };
        yield parseControl(position.type, position.flags, this.#take(position.length));
      }
    }
  }

  /** Reads a frame's header; a data frame without bytes is complete with it. */
  #begin(header: Buffer): Frame | undefined {
    const flags = header.readUInt8(4);
    const length = header.readUIntBE(5, 3);
    if ((header.readUInt8(0) & 0x80) !== 0) {
      this.#position = controlPosition(header, flags, length);
      return undefined;
    }
    const streamId = header.readUInt32BE(0);
    if (streamId === 0) throw malformed("data for stream 0");
    if ((flags & ~flagFin) !== 0) throw malformed(`data frame with unknown flags 0x${flags.toString(16)}`);
    const fin = (flags & flagFin) !== 0;
    if (length === 0) return { type: "data", streamId, bytes: Buffer.alloc(0), fin };
    this.#position = { at: "data", streamId, fin, left: length };
    return undefined;
  }

  #dataPiece(position: Position & { readonly at: "data" }): Frame {
    const bytes = this.#take(Math.min(position.left, this.#rest.length));
    position.left -= bytes.length;
    if (position.left > 0) return { type: "data", streamId: position.streamId, bytes, fin: false };
    this.#position = { at: "header" };
    return { type: "data", streamId: position.streamId, bytes, fin: position.fin };
  }

  #take(length: number): Buffer {
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}

function controlPosition(header: Buffer, flags: number, length: number): Position {
  const version = header.readUInt16BE(0) & 0x7fff;
  if (version !== spdyVersion) throw malformed(`control frame of version ${version}, not ${spdyVersion}`);
  if (length > maxControlPayloadBytes) {
    throw malformed(`control frame of ${length} bytes is over the limit of ${maxControlPayloadBytes}`);
  }
  return { at: "control", type: header.readUInt16BE(2), flags, length };
}

/** Bytes of the fixed fields that a control frame has at least. */
const leastBytes: ReadonlyMap<number, number> = new Map([
  [controlType.synStream, 10],
  [controlType.synReply, 4],
  [controlType.rstStream, 8],
  [controlType.settings, 4],
  [controlType.ping, 4],
  [controlType.goAway, 8],
  [controlType.headers, 4],
  [controlType.windowUpdate, 8],
]);

function parseControl(type: number, flags: number, payload: Buffer): Frame {
  const least = leastBytes.get(type);
  // Unknown control frames are passed over, as section 2.2.1 asks.
  if (least === undefined) return { type: "unknown", controlType: type };
  if (payload.length < least)
    throw malformed(`control frame of type ${type} with ${payload.length} bytes of payload`);
  const first = payload.readUInt32BE(0) & 0x7fff_ffff;
  const fin = (flags & flagFin) !== 0;
  switch (type) {
    case controlType.synStream:
      return {
        type: "syn-stream",
        streamId: first,
        block: payload.subarray(10),
        fin,
        unidirectional: (flags & flagUnidirectional) !== 0,
      };
    case controlType.synReply:
      return { type: "syn-reply", streamId: first, block: payload.subarray(4), fin };
    case controlType.headers:
      return { type: "headers", streamId: first, block: payload.subarray(4), fin };
    case controlType.rstStream:
      return { type: "rst-stream", streamId: first, status: payload.readUInt32BE(4) };
    case controlType.settings:
      return { type: "settings", initialWindowBytes: initialWindowIn(payload) };
    case controlType.ping:
      return { type: "ping", id: payload.readUInt32BE(0) };
    case controlType.goAway:
      return { type: "go-away", lastStreamId: first };
    default:
      return { type: "window-update", streamId: first, delta: payload.readUInt32BE(4) & 0x7fff_ffff };
  }
}

function initialWindowIn(payload: Buffer): number | undefined {
  const count = payload.readUInt32BE(0);
  if (count > (payload.length - 4) / 8)
    throw malformed(`settings frame that is too short for ${count} settings`);
  for (let index = 0; index < count; index++) {
    const offset = 4 + index * 8;
    const id = payload.readUIntBE(offset + 1, 3);
    if (id === settingInitialWindow) return payload.readUInt32BE(offset + 4) & 0x7fff_ffff;
  }
  return undefined;
}

function malformed(what: string): RuntimeError {
  return new RuntimeError("invalid-argument", `not spdy/3.1: ${what}`);
}
