/**
 * The frames of SPDY/3.1.
 *
 * @see https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/ section 2.6
 */

/** Every frame begins with this many bytes; the last three of them are the payload's length. */
export const frameHeaderBytes = 8;

/** The largest payload that three bytes can announce; data is passed on as it arrives, so it costs no memory. */
export const maxFramePayloadBytes = 2 ** 24 - 1;

/** A control frame is held whole until its end is there; a longer one ends the connection. */
export const maxControlPayloadBytes = 64 * 1024;

/** The version that every control frame carries. */
export const spdyVersion = 3;

/** The receiver's window of a stream at its start. */
export const initialWindowBytes = 64 * 1024;

/** The `type` of control frames. */
export const controlType = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;

/** The sender is done with the stream. */
export const flagFin = 0x01;
/** SYN_STREAM: the receiver may not send on the stream. */
export const flagUnidirectional = 0x02;

/** Why a stream was reset. */
export const resetStatus = {
  protocolError: 1,
  invalidStream: 2,
  refusedStream: 3,
  cancel: 5,
  internalError: 6,
  flowControlError: 7,
  streamAlreadyClosed: 9,
} as const;

/** One of the values of {@link resetStatus}. */
export type ResetStatus = (typeof resetStatus)[keyof typeof resetStatus];

/** Why a connection ends. */
export const goAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const;

/** The setting that changes the windows of all streams, SETTINGS_INITIAL_WINDOW_SIZE. */
export const settingInitialWindow = 7;

/** Names in lower case; several values of one name are separated by NUL. */
export type Headers = ReadonlyMap<string, string>;

/** A frame as received; header blocks are still compressed, since that needs the connection's one inflater. */
export type Frame =
  | { readonly type: "data"; readonly streamId: number; readonly bytes: Buffer; readonly fin: boolean }
  | {
      readonly type: "syn-stream";
      readonly streamId: number;
      readonly block: Buffer;
      readonly fin: boolean;
      readonly unidirectional: boolean;
    }
  | { readonly type: "syn-reply"; readonly streamId: number; readonly block: Buffer; readonly fin: boolean }
  | { readonly type: "headers"; readonly streamId: number; readonly block: Buffer; readonly fin: boolean }
  | { readonly type: "rst-stream"; readonly streamId: number; readonly status: number }
  | { readonly type: "settings"; readonly initialWindowBytes: number | undefined }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "go-away"; readonly lastStreamId: number }
  | { readonly type: "window-update"; readonly streamId: number; readonly delta: number }
  | { readonly type: "unknown"; readonly controlType: number };
