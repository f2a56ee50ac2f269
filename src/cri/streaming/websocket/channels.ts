import type { RawData } from "ws";

/**
 * How a subprotocol carries channels: the first byte of a message is the channel's number, or, in text, its digit
 * with the rest in base64.
 */
export type ChannelCodec = "binary" | "base64";

/** One message of a channel. */
export interface ChannelMessage {
  readonly channel: number;
  readonly bytes: Buffer;
}

/** Channels of remote commands. */
export const commandChannel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const;

/** From v5 on, this number and then a channel's say that the client sends no more on that. */
export const closeChannel = 255;

/** The digit of channel 0. */
const digitZero = 0x30;

/** The channels that a number in one byte, or one character after the digit 0, can name below {@link closeChannel}. */
export const maxChannels = 128;

/** Reads a message; undefined for an empty one or bad base64. */
export function decodeMessage(codec: ChannelCodec, data: RawData): ChannelMessage | undefined {
  const message = toBuffer(data);
  if (message.length === 0) return undefined;
  const [first = 0] = message;
  if (codec === "binary") return { channel: first, bytes: message.subarray(1) };
  const text = message.toString("latin1", 1);
  if (!isBase64(text)) return undefined;
  return { channel: first - digitZero, bytes: Buffer.from(text, "base64") };
}

/** Writes a message; text where the codec is base64. */
export function encodeMessage(codec: ChannelCodec, channel: number, bytes: Buffer): Buffer | string {
  if (codec === "binary") return Buffer.concat([Buffer.of(channel), bytes]);
  return String.fromCharCode(digitZero + channel) + bytes.toString("base64");
}

/** One buffer of whatever form the library gives a message in. */
function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}

/** Node decodes what it can of bad base64; the bytes would not be the client's. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}
