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
  splitAttributes,
  text,
  type NetlinkMessage,
} from "./message.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const NFNL_BATCH_GENID = 1;
const NFT_MSG_GETTABLE = 1;
const NFT_MSG_DELTABLE = 2;
const NFT_MSG_GETCHAIN = 4;
const NFT_MSG_NEWSETELEM = 12;
const NFT_MSG_GETSETELEM = 13;
const NFT_MSG_DELSETELEM = 14;
const NFT_MSG_GETGEN = 16;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_LIST_ELEM = 1;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;
const NFTA_SET_ELEM_USERDATA = 6;
const NFTA_DATA_VALUE = 1;
const NFTA_GEN_ID = 1;
/** NFT_SET_ELEM_INTERVAL_END, in network order. */
const rangeEndFlag = Buffer.of(0, 0, 0, 1);
/** How nft(8) keeps an element's comment in its user data: type, length, text with its NUL. */
const NFTNL_UDATA_SET_ELEM_COMMENT = 0;

/** The nftables families: IPv4 alone, IPv6 alone, both in one table, and what arrives at a link. */
export const tableFamilies = { ip: 2, ip6: 10, inet: 1, netdev: 5 } as const;

/** One of {@link tableFamilies}. */
export type TableFamily = keyof typeof tableFamilies;

/** A set or a map of a table of the family inet. */
export interface SetName {
  readonly table: string;
  readonly set: string;
}

/** An element of a set, or of a map where it has data; several fields each begin at a multiple of four bytes. */
export interface SetElement {
  readonly key: Buffer;
  readonly data?: Buffer;
  /** As nft(8) shows it; at most {@link maxCommentBytes}. Empty is none. */
  readonly comment: string;
  /** In a set of ranges: the range before ends here, itself left out. */
  readonly place?: "range-end";
}

/** Bytes of a comment that nft(8) accepts (NFTNL_UDATA_COMMENT_MAXLEN). */
export const maxCommentBytes = 127;

/** Asks for an nftables table by name; a table that is not there answers `ENOENT`. */
export function getTable(family: TableFamily, name: string): NetlinkMessage {
  return nftablesMessage(NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_ACK, family, text(NFTA_TABLE_NAME, name));
}

/** Asks for every table of a family. */
export function listTables(family: TableFamily): NetlinkMessage {
  return nftablesMessage(NFT_MSG_GETTABLE, NLM_F_REQUEST | NLM_F_DUMP, family, Buffer.alloc(0));
}

/** Reads the name in an answer to {@link getTable} or {@link listTables}. */
export function decodeTableName(payload: Buffer): string {
  return attributeText(decodeAttributes(payload.subarray(4)).get(NFTA_TABLE_NAME));
}

/** Deletes a table with all that is in it; goes into a batch. */
export function deleteTable(family: TableFamily, name: string): NetlinkMessage {
  return nftablesMessage(NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, family, text(NFTA_TABLE_NAME, name));
}

/** Asks for a chain; one that is not there, or whose table is not, answers `ENOENT`. */
export function getChain(family: TableFamily, table: string, chain: string): NetlinkMessage {
  const attributes = Buffer.concat([text(NFTA_CHAIN_TABLE, table), text(NFTA_CHAIN_NAME, chain)]);
  return nftablesMessage(NFT_MSG_GETCHAIN, NLM_F_REQUEST | NLM_F_ACK, family, attributes);
}

/** Adds elements; one that is there already fails with `EEXIST`. Goes into a batch. */
export function addElements(name: SetName, elements: readonly SetElement[]): NetlinkMessage {
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  return nftablesMessage(NFT_MSG_NEWSETELEM, flags, "inet", elementList(name, elements));
}

/** Deletes elements by their keys; one that is not there fails with `ENOENT`. Goes into a batch. */
export function deleteElements(name: SetName, elements: readonly SetElement[]): NetlinkMessage {
  const keys = elements.map(({ key }) => ({ key, comment: "" }));
  return nftablesMessage(NFT_MSG_DELSETELEM, NLM_F_REQUEST | NLM_F_ACK, "inet", elementList(name, keys));
}

/** Asks for every element of a set. */
export function listElements(name: SetName): NetlinkMessage {
  return nftablesMessage(NFT_MSG_GETSETELEM, NLM_F_REQUEST | NLM_F_DUMP, "inet", elementList(name, []));
}

/** Reads the payload of an answer to {@link listElements}. */
export function decodeElements(payload: Buffer): SetElement[] {
  const list = decodeAttributes(payload.subarray(4)).get(NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list === undefined) return [];
  return splitAttributes(list).map(({ payload: one }) => {
    const attributes = decodeAttributes(one);
    const data = dataValue(attributes.get(NFTA_SET_ELEM_DATA));
    return {
      key: dataValue(attributes.get(NFTA_SET_ELEM_KEY)) ?? Buffer.alloc(0),
      ...(data === undefined ? {} : { data }),
      comment: commentOf(attributes.get(NFTA_SET_ELEM_USERDATA)),
    };
  });
}

/** Asks for the ruleset's generation, which every change makes another. */
export function getGeneration(): NetlinkMessage {
  const header = Buffer.alloc(4);
  return { type: typeOf(NFT_MSG_GETGEN), flags: NLM_F_REQUEST | NLM_F_ACK, payload: header };
}

/** Reads the payload of an answer to {@link getGeneration}. */
export function decodeGeneration(payload: Buffer): number {
  return decodeAttributes(payload.subarray(4)).get(NFTA_GEN_ID)?.readUInt32BE(0) ?? 0;
}

/**
 * What opens a batch: the messages up to {@link batchEnd} happen as a whole or not at all. With a generation the kernel
 * answers `ERESTART`, and does nothing, where the ruleset has changed since.
 */
export function batchBegin(generation?: number): NetlinkMessage {
  const expected = Buffer.alloc(4);
  expected.writeUInt32BE(generation ?? 0);
  const attributes = generation === undefined ? [] : [attribute(NFNL_BATCH_GENID, expected)];
  return {
    type: NFNL_MSG_BATCH_BEGIN,
    flags: NLM_F_REQUEST,
    payload: Buffer.concat([batchHeader, ...attributes]),
  };
}

/** What closes a batch. */
export function batchEnd(): NetlinkMessage {
  return { type: NFNL_MSG_BATCH_END, flags: NLM_F_REQUEST, payload: batchHeader };
}

/** struct nfgenmsg of a batch: the resource id, in network order, is the subsystem. */
const batchHeader = Buffer.of(0, 0, 0, NFNL_SUBSYS_NFTABLES);

/** A message of nftables: struct nfgenmsg (family, version 0, resource id 0), then the attributes. */
export function nftablesMessage(
  type: number,
  flags: number,
  family: TableFamily,
  attributes: Buffer,
): NetlinkMessage {
  const header = Buffer.of(tableFamilies[family], 0, 0, 0);
  return { type: typeOf(type), flags, payload: Buffer.concat([header, attributes]) };
}

function typeOf(type: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | type;
}

function elementList({ table, set }: SetName, elements: readonly SetElement[]): Buffer {
  const names = [text(NFTA_SET_ELEM_LIST_TABLE, table), text(NFTA_SET_ELEM_LIST_SET, set)];
  if (elements.length === 0) return Buffer.concat(names);
  const list = elements.map((element) => nested(NFTA_LIST_ELEM, ...elementAttributes(element)));
  return Buffer.concat([...names, nested(NFTA_SET_ELEM_LIST_ELEMENTS, ...list)]);
}

function elementAttributes({ key, data, comment, place }: SetElement): Buffer[] {
  const attributes = [nested(NFTA_SET_ELEM_KEY, attribute(NFTA_DATA_VALUE, key))];
  if (place === "range-end") attributes.push(attribute(NFTA_SET_ELEM_FLAGS, rangeEndFlag));
  if (data !== undefined) attributes.push(nested(NFTA_SET_ELEM_DATA, attribute(NFTA_DATA_VALUE, data)));
  if (comment !== "") attributes.push(attribute(NFTA_SET_ELEM_USERDATA, commentData(comment)));
  return attributes;
}

function commentData(comment: string): Buffer {
  const bytes = Buffer.from(`${comment}\0`);
  return Buffer.concat([Buffer.of(NFTNL_UDATA_SET_ELEM_COMMENT, bytes.length), bytes]);
}

function commentOf(userData: Buffer | undefined): string {
  for (let offset = 0; userData !== undefined && offset + 2 <= userData.length;) {
    const length = userData.readUInt8(offset + 1);
    const value = userData.subarray(offset + 2, offset + 2 + length);
    if (userData.readUInt8(offset) === NFTNL_UDATA_SET_ELEM_COMMENT) return attributeText(value);
    offset += 2 + length;
  }
  return "";
}

function dataValue(payload: Buffer | undefined): Buffer | undefined {
  return payload === undefined ? undefined : decodeAttributes(payload).get(NFTA_DATA_VALUE);
}
