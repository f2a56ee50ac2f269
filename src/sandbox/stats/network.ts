import { closeSync, readFileSync } from "node:fs";
import { openNamespace, withNetns } from "../../sys/index.ts";

/** Traffic of one interface since it was made, as seen from inside the pod. */
export interface InterfaceUsage {
  readonly name: string;
  readonly rxBytes: bigint;
  readonly rxPackets: bigint;
  readonly rxErrors: bigint;
  readonly rxDropped: bigint;
  readonly txBytes: bigint;
  readonly txPackets: bigint;
  readonly txErrors: bigint;
  readonly txDropped: bigint;
}

/** Traffic of a pod. */
export interface NetworkUsage {
  /** Nanoseconds since the epoch. */
  readonly at: bigint;
  /** The interface with the pod's addresses. */
  readonly main: InterfaceUsage | undefined;
  /** All others; loopback is left out, as in other runtimes. */
  readonly others: readonly InterfaceUsage[];
}

/** The name that the CNI convention gives to a pod's first interface. */
const mainInterface = "eth0";

/** Reads the counters of a pinned network namespace; throws SysError where the pin is gone. */
export function readInterfaces(netns: string): readonly InterfaceUsage[] {
  const namespace = openNamespace(netns);
  try {
    // /proc/self/net is the network of the process's first thread, which is the one that moves.
    return parseNetDev(withNetns(namespace, () => readFileSync("/proc/self/net/dev", "latin1")));
  } finally {
    closeSync(namespace);
  }
}

/** Tells the main interface from the others: eth0, or the first where there is none. */
export function networkUsage(at: bigint, interfaces: readonly InterfaceUsage[]): NetworkUsage {
  const main = interfaces.find((one) => one.name === mainInterface) ?? interfaces[0];
  return { at, main, others: interfaces.filter((one) => one !== main) };
}

/**
 * The lines of /proc/net/dev but for loopback's: a name, eight counters of what came in, eight of what went out.
 *
 * @see https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
 */
export function parseNetDev(text: string): readonly InterfaceUsage[] {
  return text.split("\n").flatMap((line) => {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim();
    const fields = line.slice(colon + 1).match(/\d+/g);
    if (colon < 0 || name === "lo" || fields?.length !== 16) return [];
    const number = (index: number): bigint => BigInt(fields[index] ?? 0);
    return [
      {
        name,
        rxBytes: number(0),
        rxPackets: number(1),
        rxErrors: number(2),
        rxDropped: number(3),
        txBytes: number(8),
        txPackets: number(9),
        txErrors: number(10),
        txDropped: number(11),
      },
    ];
  });
}
