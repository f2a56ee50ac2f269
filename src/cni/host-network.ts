import { readFileSync, writeFileSync } from "node:fs";
import { NETLINK_NETFILTER, NETLINK_ROUTE } from "../sys/index.ts";
import { LinkRemovals } from "./link-removals.ts";
import { Masquerade } from "./masquerade.ts";
import { NetlinkSocket } from "./netlink/socket.ts";

/** What built-in plugins share of the host's own network: open sockets, and rules that several pods need. */
export interface HostNetwork extends AsyncDisposable {
  readonly rtnetlink: NetlinkSocket;
  /** Deletes links, on a socket of its own: what that waits for, requests on other sockets do not. */
  readonly removals: LinkRemovals;
  readonly netfilter: NetlinkSocket;
  readonly masquerade: Masquerade;
  /** What nft and iptables are run with: PATH at least. */
  readonly environment: Readonly<Record<string, string>>;
  /** Turns forwarding on for a family where it is off. */
  enableForwarding(family: 4 | 6): "was-on" | "turned-on";
}

const forwardingFile = {
  4: "/proc/sys/net/ipv4/ip_forward",
  6: "/proc/sys/net/ipv6/conf/all/forwarding",
} as const;

/** Opens the sockets in the calling thread's namespace, the daemon's own. `environment` is what nft is run with. */
export function openHostNetwork(environment: Readonly<Record<string, string>>): HostNetwork {
  const rtnetlink = new NetlinkSocket(NETLINK_ROUTE);
  const removals = new LinkRemovals(new NetlinkSocket(NETLINK_ROUTE));
  const netfilter = new NetlinkSocket(NETLINK_NETFILTER);
  return {
    rtnetlink,
    removals,
    netfilter,
    environment,
    masquerade: new Masquerade({ netfilter, environment }),
    enableForwarding: (family) => {
      const file = forwardingFile[family];
      if (readFileSync(file, "utf8").trim() !== "0") return "was-on";
      writeFileSync(file, "1");
      return "turned-on";
    },
    [Symbol.asyncDispose]: async () => {
      await rtnetlink.close();
      await removals.close();
      await netfilter.close();
    },
  };
}
