import { formatIp, type IpAddress } from "../ip.ts";

/** An overlay as packets show it. */
export interface GuardedOverlay {
  readonly vni: number;
  readonly port: number;
}

/**
 * Keeps everybody but the peers from putting packets into an overlay: VXLAN itself asks nobody who he is. One nftables
 * table an overlay; an address can be forged where the network between the hosts lets it.
 */
export function guardScript(overlay: GuardedOverlay, local: IpAddress, peers: readonly IpAddress[]): string {
  const name = tableName(overlay);
  const family = local.family === 4 ? "ip" : "ip6";
  const known = peers.map(formatIp).sort();
  const others = known.length === 0 ? "" : `${family} saddr != { ${known.join(", ")} } `;
  return [
    // Adding it first makes deleting it safe.
    `table inet ${name}`,
    `delete table inet ${name}`,
    `table inet ${name} {`,
    "  chain input {",
    "    type filter hook input priority filter; policy accept;",
    // The VNI stands behind the UDP header, flags and a reserved field (RFC 7348, section 5).
    `    ${others}udp dport ${overlay.port} @th,96,24 ${overlay.vni} drop`,
    "  }",
    "}",
    "",
  ].join("\n");
}

/** The script that takes the table away; one that is not there is fine. */
export function unguardScript(overlay: GuardedOverlay): string {
  const name = tableName(overlay);
  return `table inet ${name}\ndelete table inet ${name}\n`;
}

function tableName({ vni, port }: GuardedOverlay): string {
  return `berth_vxlan_${vni}_${port}`;
}
