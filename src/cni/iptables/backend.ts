import { constants, readFileSync } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { isErrno } from "../../sys/index.ts";

/** What rules can be written with. */
export type NetfilterBackend = "nftables" | "iptables";

/**
 * What the host uses: iptables where its older, "legacy" kind has rules in this namespace, or there is no nft(8); else
 * nftables, which iptables of today writes for too.
 */
export async function hostBackend(environment: Readonly<Record<string, string>>): Promise<NetfilterBackend> {
  if (legacyTables().length > 0) return "iptables";
  return (await isInstalled("nft", environment)) || !(await isInstalled("iptables", environment))
    ? "nftables"
    : "iptables";
}

/** True where a program of this name is in PATH. */
export async function isInstalled(
  program: string,
  environment: Readonly<Record<string, string>>,
): Promise<boolean> {
  for (const folder of (environment["PATH"] ?? "").split(delimiter).filter((one) => one !== "")) {
    try {
      await access(join(folder, program), constants.X_OK);
      return true;
    } catch {
      continue;
    }
  }
  return false;
}

/** The tables of legacy iptables that this thread's network namespace uses. */
export function legacyTables(): string[] {
  return ["ip_tables_names", "ip6_tables_names"].flatMap((name) => {
    try {
      // At once, on this thread: those of libuv's pool may be in another namespace.
      return readFileSync(`/proc/thread-self/net/${name}`, "utf8")
        .split("\n")
        .filter((line) => line !== "");
    } catch (error) {
      if (isErrno(error, "ENOENT")) return [];
      throw error;
    }
  });
}
