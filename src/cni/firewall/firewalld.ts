import { RuntimeError } from "../../core/errors.ts";
import { formatIp, parsePrefix } from "../ip.ts";
import { runProgram, type ProcessOutcome } from "../plugin-process.ts";
import type { PluginCall } from "../plugin.ts";
import type { FirewallConf } from "./conf.ts";

type Environment = Readonly<Record<string, string>>;

/** True where firewalld answers. */
export async function isFirewalldRunning(environment: Environment, signal: AbortSignal): Promise<boolean> {
  return isSuccess(await firewallCmd(["--state"], environment, signal));
}

/** Puts a pod's addresses into the zone, takes them out, or tells whether all of them are in it. */
export async function changeZone(
  change: "add" | "remove" | "query",
  conf: FirewallConf,
  call: PluginCall,
  environment: Environment,
): Promise<boolean> {
  for (const { address } of call.prevResult?.ips ?? []) {
    const words = [`--zone=${conf.zone}`, `--${change}-source=${formatIp(parsePrefix(address).address)}`];
    const outcome = await firewallCmd(words, environment, call.signal);
    if (isSuccess(outcome)) continue;
    // Not in the zone: what CHECK asks, and what DEL wants.
    if (change === "query") return false;
    if (change === "remove") continue;
    const said = outcome.stderr.trim() || outcome.stdout.trim();
    throw new RuntimeError("internal", `network ${conf.network}: firewall: firewall-cmd failed: ${said}`);
  }
  return true;
}

function firewallCmd(
  words: readonly string[],
  environment: Environment,
  signal: AbortSignal,
): Promise<ProcessOutcome> {
  return runProgram("firewall-cmd", ["firewall-cmd", ...words], environment, "", signal);
}

function isSuccess({ exit }: ProcessOutcome): boolean {
  return "code" in exit && exit.code === 0;
}
