import { NLM_F_ACK, NLM_F_REQUEST, text, type NetlinkMessage } from "./message.ts";

const NFNL_SUBSYS_NFTABLES = 10;
const NFT_MSG_GETTABLE = 1;
const NFTA_TABLE_NAME = 1;
/** The nftables family `inet`: IPv4 and IPv6 in one table. */
const NFPROTO_INET = 1;

/** Asks for an nftables table of the family inet by name; a table that is not there answers `ENOENT`. */
export function getInetTable(name: string): NetlinkMessage {
  // struct nfgenmsg: family, version 0, resource id 0.
  const header = Buffer.of(NFPROTO_INET, 0, 0, 0);
  return {
    type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE,
    flags: NLM_F_REQUEST | NLM_F_ACK,
    payload: Buffer.concat([header, text(NFTA_TABLE_NAME, name)]),
  };
}
