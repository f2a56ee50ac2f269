import { RuntimeError } from "../../core/errors.ts";

/** `nlmsg_flags` (netlink(7)). */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

/** `nlmsg_type` of the protocol's own messages. */
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

/** Bytes of `struct nlmsghdr`. */
export const headerBytes = 16;

/** Set in an attribute's type where it holds attributes. */
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
/** The attribute of an extended acknowledgement that holds its text. */
const NLMSGERR_ATTR_MSG = 1;

/** A message without its header's length, sequence and port. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly payload: Buffer;
}

/** A message as received. */
export interface ReceivedMessage extends NetlinkMessage {
  readonly sequence: number;
}

/** What the kernel made of a request: errno 0 is success. `text` is the extended acknowledgement's. */
export interface Acknowledgement {
  readonly errno: number;
  readonly text: string;
}

/** Writes one message behind its header. */
export function encodeMessage(message: NetlinkMessage, sequence: number): Buffer {
  const length = headerBytes + message.payload.length;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt32LE(length, 0);
  bytes.writeUInt16LE(message.type, 4);
  bytes.writeUInt16LE(message.flags, 6);
  bytes.writeUInt32LE(sequence, 8);
  message.payload.copy(bytes, headerBytes);
  return bytes;
}

/** Takes a datagram apart; a length that doesn't fit throws `internal`. */
export function decodeMessages(datagram: Buffer): ReceivedMessage[] {
  const messages: ReceivedMessage[] = [];
  for (let offset = 0; offset + headerBytes <= datagram.length;) {
    const length = datagram.readUInt32LE(offset);
    if (length < headerBytes || offset + length > datagram.length) {
      throw new RuntimeError("internal", `netlink message of ${length} bytes in ${datagram.length - offset}`);
    }
    messages.push({
      type: datagram.readUInt16LE(offset + 4),
      flags: datagram.readUInt16LE(offset + 6),
      sequence: datagram.readUInt32LE(offset + 8),
      payload: datagram.subarray(offset + headerBytes, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/** Reads the payload of NLMSG_ERROR. */
export function decodeAcknowledgement(message: ReceivedMessage): Acknowledgement {
  const errno = Math.abs(message.payload.readInt32LE(0));
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno, text: "" };
  // After the error comes the request's header, and without NLM_F_CAPPED the whole request.
  const request = (message.flags & NLM_F_CAPPED) === 0 ? message.payload.readUInt32LE(4) : headerBytes;
  const attributes = decodeAttributes(message.payload.subarray(4 + align(request)));
  return { errno, text: attributeText(attributes.get(NLMSGERR_ATTR_MSG)) };
}

/** One attribute: length, type, payload, padded to 4 bytes (netlink(7), struct nlattr). */
export function attribute(type: number, payload: Buffer): Buffer {
  const length = 4 + payload.length;
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, 4);
  return bytes;
}

/** An attribute that holds attributes. */
export function nested(type: number, ...attributes: readonly Buffer[]): Buffer {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** Attribute of one byte. */
export function u8(type: number, value: number): Buffer {
  return attribute(type, Buffer.of(value));
}

/** Attribute of two bytes in the machine's order. */
export function u16(type: number, value: number): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16LE(value);
  return attribute(type, payload);
}

/** Attribute of four bytes in the machine's order. */
export function u32(type: number, value: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32LE(value);
  return attribute(type, payload);
}

/** Attribute that holds a NUL-terminated string. */
export function text(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`));
}

/** Attributes by type, without the flags; of several with one type the last stays, as in the kernel. */
export function decodeAttributes(bytes: Buffer): Map<number, Buffer> {
  return new Map(splitAttributes(bytes).map(({ type, payload }) => [type, payload]));
}

/** Attributes in their order, for lists of one type; what follows a length that doesn't fit is left out. */
export function splitAttributes(bytes: Buffer): { type: number; payload: Buffer }[] {
  const attributes: { type: number; payload: Buffer }[] = [];
  for (let offset = 0; offset + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    const type = bytes.readUInt16LE(offset + 2) & NLA_TYPE_MASK;
    attributes.push({ type, payload: bytes.subarray(offset + 4, offset + length) });
    offset += align(length);
  }
  return attributes;
}

/** The string in an attribute, without its NUL; empty where it is absent. */
export function attributeText(payload: Buffer | undefined): string {
  if (payload === undefined) return "";
  const end = payload.indexOf(0);
  return payload.toString("utf8", 0, end === -1 ? payload.length : end);
}

/** The number in an attribute of four bytes; undefined where it is absent. */
export function attributeU32(payload: Buffer | undefined): number | undefined {
  return payload?.length === 4 ? payload.readUInt32LE(0) : undefined;
}

function align(length: number): number {
  return (length + 3) & ~3;
}
