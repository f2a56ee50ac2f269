import {
  attribute,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  text,
  type NetlinkMessage,
} from "./message.ts";
import { nftablesMessage } from "./nftables.ts";

const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_NEWCHAIN = 3;
const NFT_MSG_NEWRULE = 6;
const NFT_MSG_NEWSET = 9;
const NLM_F_APPEND = 0x800;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_POLICY = 5;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_RULE_USERDATA = 7;
const NFTA_SET_TABLE = 1;
const NFTA_SET_NAME = 2;
const NFTA_SET_FLAGS = 3;
const NFTA_SET_KEY_TYPE = 4;
const NFTA_SET_KEY_LEN = 5;
const NFTA_SET_DATA_TYPE = 6;
const NFTA_SET_DATA_LEN = 7;
const NFTA_SET_ID = 10;
const NFTA_SET_USERDATA = 13;
const NFT_SET_INTERVAL = 0x4;
const NFT_SET_MAP = 0x8;
const NFTA_LIST_ELEM = 1;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_DATA_VERDICT = 2;
const NFTA_VERDICT_CODE = 1;
const NFTA_VERDICT_CHAIN = 2;
const NF_ACCEPT = 1;
const NF_DROP = 0;
const NFT_JUMP = -3;
/** How nft(8) keeps a rule's comment, and that a set's neighbouring intervals are one (libnftables, udata.h). */
const NFTNL_UDATA_RULE_COMMENT = 0;
const NFTNL_UDATA_SET_MERGE_ELEMENTS = 2;

/** nft(8)'s numbers of data types, by which it shows what is in a set, and their bytes (libnftables, datatype.h). */
export const fieldTypes = {
  ipv4_addr: { number: 7, bytes: 4 },
  ipv6_addr: { number: 8, bytes: 16 },
  inet_proto: { number: 12, bytes: 1 },
  inet_service: { number: 13, bytes: 2 },
  ifname: { number: 41, bytes: 16 },
} as const;

/** A field of a set's key or of a map's data. */
export type FieldType = keyof typeof fieldTypes;

/** Where packets enter a chain, by its number, and in which order. */
export interface ChainHook {
  readonly type: "nat" | "filter";
  readonly hook: keyof typeof hooks;
  readonly priority: number;
}

/** A set or, with data, a map. */
export interface SetDefinition {
  readonly name: string;
  readonly key: readonly FieldType[];
  readonly data?: readonly FieldType[];
  /** Whether its elements are ranges, neighbouring ones shown as one. */
  readonly elements: "single" | "ranges";
}

/** One step of a rule. */
export type Expression = Buffer;

const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
/** Bits of one field's type in the type of a key that has several. */
const typeBits = 6;

/** Makes a table of the family inet; one that is there already fails with `EEXIST`. Goes into a batch. */
export function newTable(table: string): NetlinkMessage {
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  return nftablesMessage(NFT_MSG_NEWTABLE, flags, "inet", text(NFTA_TABLE_NAME, table));
}

/** Makes a chain; without a hook only jumps lead there. Goes into a batch. */
export function newChain(table: string, chain: string, hook?: ChainHook): NetlinkMessage {
  const attributes = [text(NFTA_CHAIN_TABLE, table), text(NFTA_CHAIN_NAME, chain)];
  if (hook !== undefined) {
    attributes.push(
      nested(
        NFTA_CHAIN_HOOK,
        be32(NFTA_HOOK_HOOKNUM, hooks[hook.hook]),
        be32(NFTA_HOOK_PRIORITY, hook.priority),
      ),
      be32(NFTA_CHAIN_POLICY, NF_ACCEPT),
      text(NFTA_CHAIN_TYPE, hook.type),
    );
  }
  return create(NFT_MSG_NEWCHAIN, attributes);
}

/** Makes a set; `id` tells it from the others of the batch. Goes into a batch. */
export function newSet(table: string, id: number, set: SetDefinition): NetlinkMessage {
  const { name, key, data, elements } = set;
  const flags = (data === undefined ? 0 : NFT_SET_MAP) | (elements === "ranges" ? NFT_SET_INTERVAL : 0);
  const attributes = [
    text(NFTA_SET_TABLE, table),
    text(NFTA_SET_NAME, name),
    be32(NFTA_SET_FLAGS, flags),
    be32(NFTA_SET_KEY_TYPE, typeOf(key)),
    be32(NFTA_SET_KEY_LEN, bytesOf(key)),
  ];
  if (data !== undefined) {
    attributes.push(be32(NFTA_SET_DATA_TYPE, typeOf(data)), be32(NFTA_SET_DATA_LEN, bytesOf(data)));
  }
  attributes.push(be32(NFTA_SET_ID, id));
  if (elements === "ranges") {
    attributes.push(attribute(NFTA_SET_USERDATA, Buffer.of(NFTNL_UDATA_SET_MERGE_ELEMENTS, 4, 1, 0, 0, 0)));
  }
  return create(NFT_MSG_NEWSET, attributes);
}

/** Adds a rule behind the chain's others. Goes into a batch. */
export function newRule(
  table: string,
  chain: string,
  expressions: readonly Expression[],
  comment = "",
): NetlinkMessage {
  const attributes = [
    text(NFTA_RULE_TABLE, table),
    text(NFTA_RULE_CHAIN, chain),
    nested(NFTA_RULE_EXPRESSIONS, ...expressions),
  ];
  if (comment !== "") {
    const bytes = Buffer.from(`${comment}\0`);
    const head = Buffer.of(NFTNL_UDATA_RULE_COMMENT, bytes.length);
    attributes.push(attribute(NFTA_RULE_USERDATA, Buffer.concat([head, bytes])));
  }
  return create(NFT_MSG_NEWRULE, attributes, NLM_F_APPEND);
}

/** Keys of a packet's meta data (NFT_META_). */
export const metaKeys = { iifname: 6, nfproto: 15, l4proto: 16 } as const;

/** Loads a packet's meta data. */
export function meta(key: keyof typeof metaKeys, register: number): Expression {
  return expression("meta", be32(1, register), be32(2, metaKeys[key]));
}

/** Goes on where a register is, or is not, the value. */
export function compare(register: number, relation: "is" | "is-not", value: Buffer): Expression {
  return expression("cmp", be32(1, register), be32(2, relation === "is" ? 0 : 1), dataValue(3, value));
}

/** Loads bytes of a packet's header. */
export function payload(
  base: "network" | "transport",
  offset: number,
  bytes: number,
  register: number,
): Expression {
  const number = base === "network" ? 1 : 2;
  return expression("payload", be32(1, register), be32(2, number), be32(3, offset), be32(4, bytes));
}

/** Goes on where a set has what begins in a register; of a map loads the data there. */
export function lookUp(set: string, register: number, target?: number): Expression {
  return expression(
    "lookup",
    text(1, set),
    be32(2, register),
    ...(target === undefined ? [] : [be32(3, target)]),
  );
}

/** Loads the kind of a packet's destination address, RTN_LOCAL and so on, four bytes in the machine's order. */
export function fibDestinationType(register: number): Expression {
  return expression("fib", be32(1, register), be32(2, 3), be32(3, 2));
}

/** Loads the status of a packet's tracked connection, IPS_ bits, four bytes in the machine's order. */
export function connectionStatus(register: number): Expression {
  return expression("ct", be32(1, register), be32(2, 2));
}

/** Keeps the bits of a register that are set in the mask. */
export function mask(register: number, bits: Buffer): Expression {
  return expression(
    "bitwise",
    ...[be32(1, register), be32(2, register), be32(3, bits.length)],
    ...[dataValue(4, bits), dataValue(5, Buffer.alloc(bits.length))],
  );
}

/** Leads the connection to the address and the port in two registers. */
export function destinationNat(family: 4 | 6, address: number, port: number): Expression {
  return expression(
    "nat",
    ...[be32(1, 1), be32(2, family === 4 ? 2 : 10)],
    ...[be32(3, address), be32(5, port)],
  );
}

/** Gives the connection the address of the link that it leaves by. */
export function masquerade(): Expression {
  return expression("masq");
}

/** Goes on in another chain. */
export function jump(chain: string): Expression {
  return verdict(NFT_JUMP, text(NFTA_VERDICT_CHAIN, chain));
}

/** Throws the packet away. */
export function drop(): Expression {
  return verdict(NF_DROP);
}

function verdict(code: number, ...more: readonly Buffer[]): Expression {
  const data = nested(NFTA_DATA_VERDICT, be32(NFTA_VERDICT_CODE, code), ...more);
  return expression("immediate", be32(1, 0), nested(2, data));
}

function expression(name: string, ...attributes: readonly Buffer[]): Expression {
  return nested(NFTA_LIST_ELEM, text(NFTA_EXPR_NAME, name), nested(NFTA_EXPR_DATA, ...attributes));
}

function dataValue(type: number, value: Buffer): Buffer {
  return nested(type, attribute(NFTA_DATA_VALUE, value));
}

function create(type: number, attributes: readonly Buffer[], more = 0): NetlinkMessage {
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | more;
  return nftablesMessage(type, flags, "inet", Buffer.concat(attributes));
}

function typeOf(fields: readonly FieldType[]): number {
  return fields.reduce((sum, field) => sum * 2 ** typeBits + fieldTypes[field].number, 0);
}

/** Of several fields each takes a multiple of four bytes. */
function bytesOf(fields: readonly FieldType[]): number {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return fieldTypes[only].bytes;
  return fields.reduce((sum, field) => sum + Math.ceil(fieldTypes[field].bytes / 4) * 4, 0);
}

/** Attribute of four bytes in network order, as nftables has its numbers. */
function be32(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return attribute(type, bytes);
}
