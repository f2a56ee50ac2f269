import {
  attribute,
  attributeText,
  decodeAttributes,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  text,
  u32,
  type NetlinkMessage,
} from "./message.ts";

/** rtnetlink(7): message types for queueing disciplines and filters. */
export const RTM_NEWQDISC = 36;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_U32_CLASSID = 1;
const TCA_U32_SEL = 5;
const TCA_U32_ACT = 7;
const TCA_ACT_KIND = 1;
const TCA_ACT_OPTIONS = 2;
const TCA_MIRRED_PARMS = 2;
const TCA_EGRESS_REDIR = 1;
const TC_ACT_STOLEN = 4;
const TC_U32_TERMINAL = 1;
const TC_H_ROOT = 0xffff_ffff;
const TC_H_INGRESS = 0xffff_fff1;
const TC_LINKLAYER_ETHERNET = 1;
const ETH_P_ALL = 3;
/** The handle `1:`, and `ffff:`, that of everything that arrives. */
const rootHandle = 0x0001_0000;
const ingressHandle = 0xffff_0000;
const classId = 0x0001_0001;
const filterPriority = 1;
const maxU32 = 0xffff_ffff;

/** A token bucket filter: how fast, how much at once, and how much waits. */
export interface TokenBucket {
  /** Bytes a second. */
  readonly rate: bigint;
  /** The time in which the burst passes at the rate, in the kernel's ticks of 64 ns. */
  readonly buffer: number;
  /** Bytes that may wait before packets are dropped. */
  readonly limit: number;
}

/** Limits what a link sends. */
export function addTokenBucket(link: number, bucket: TokenBucket): NetlinkMessage {
  const parameters = Buffer.alloc(36);
  // struct tc_ratespec rate: cell_log, linklayer, overhead, cell_align, mpu, rate; the same for peakrate, 0 is none.
  parameters.writeUInt8(TC_LINKLAYER_ETHERNET, 1);
  parameters.writeUInt32LE(Number(bucket.rate > BigInt(maxU32) ? BigInt(maxU32) : bucket.rate), 8);
  parameters.writeUInt32LE(bucket.limit, 24);
  parameters.writeUInt32LE(bucket.buffer, 28);
  const options = [attribute(TCA_TBF_PARMS, parameters)];
  if (bucket.rate > BigInt(maxU32)) {
    const rate = Buffer.alloc(8);
    rate.writeBigUInt64LE(bucket.rate);
    options.push(attribute(TCA_TBF_RATE64, rate));
  }
  return create(RTM_NEWQDISC, trafficHeader(link, rootHandle, TC_H_ROOT, 0), "tbf", options);
}

/** Makes the place where filters see what arrives at a link. */
export function addIngress(link: number): NetlinkMessage {
  return create(RTM_NEWQDISC, trafficHeader(link, ingressHandle, TC_H_INGRESS, 0), "ingress", []);
}

/** Hands everything that arrives at a link to another one, as if that were to send it. Needs {@link addIngress}. */
export function redirectArriving(link: number, target: number): NetlinkMessage {
  // struct tc_u32_sel with one key that fits everything: flags, offshift, nkeys.
  const selector = Buffer.alloc(32);
  selector.writeUInt8(TC_U32_TERMINAL, 0);
  selector.writeUInt8(1, 2);
  // struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex.
  const mirred = Buffer.alloc(28);
  mirred.writeInt32LE(TC_ACT_STOLEN, 8);
  mirred.writeInt32LE(TCA_EGRESS_REDIR, 20);
  mirred.writeUInt32LE(target, 24);
  const action = nested(
    1,
    text(TCA_ACT_KIND, "mirred"),
    nested(TCA_ACT_OPTIONS, attribute(TCA_MIRRED_PARMS, mirred)),
  );
  const info = (filterPriority << 16) | (ETH_P_ALL << 8);
  return create(RTM_NEWTFILTER, trafficHeader(link, 0, ingressHandle, info), "u32", [
    u32(TCA_U32_CLASSID, classId),
    attribute(TCA_U32_SEL, selector),
    nested(TCA_U32_ACT, action),
  ]);
}

/** Asks for the queueing disciplines of every link. */
export function listQueues(): NetlinkMessage {
  return { type: RTM_GETQDISC, flags: NLM_F_REQUEST | NLM_F_DUMP, payload: trafficHeader(0, 0, 0, 0) };
}

/** A queueing discipline as the kernel tells of it. */
export interface Queue {
  /** Index of its link. */
  readonly link: number;
  readonly kind: string;
  /** Present where the kind is `tbf`. */
  readonly bucket?: TokenBucket;
}

/** Reads the payload of RTM_NEWQDISC. */
export function decodeQueue(payload: Buffer): Queue {
  const attributes = decodeAttributes(payload.subarray(20));
  const kind = attributeText(attributes.get(TCA_KIND));
  const options = decodeAttributes(
    kind === "tbf" ? (attributes.get(TCA_OPTIONS) ?? Buffer.alloc(0)) : Buffer.alloc(0),
  );
  const parameters = options.get(TCA_TBF_PARMS);
  const link = payload.readInt32LE(4);
  if (parameters === undefined) return { link, kind };
  const rate = options.get(TCA_TBF_RATE64)?.readBigUInt64LE(0) ?? BigInt(parameters.readUInt32LE(8));
  return {
    link,
    kind,
    bucket: { rate, buffer: parameters.readUInt32LE(28), limit: parameters.readUInt32LE(24) },
  };
}

function create(type: number, header: Buffer, kind: string, options: readonly Buffer[]): NetlinkMessage {
  return {
    type,
    flags: NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
    payload: Buffer.concat([header, text(TCA_KIND, kind), nested(TCA_OPTIONS, ...options)]),
  };
}

/** struct tcmsg: family, padding, index, handle, parent, info. */
function trafficHeader(link: number, handle: number, parent: number, info: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeInt32LE(link, 4);
  header.writeUInt32LE(handle, 8);
  header.writeUInt32LE(parent, 12);
  header.writeUInt32LE(info, 16);
  return header;
}
