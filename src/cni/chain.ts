import { RuntimeError } from "../core/errors.ts";
import type { Job } from "../core/job.ts";
import { runtimeConfigFor } from "./capability-arguments.ts";
import type { NetworkConf, PluginConf } from "./conf.ts";
import { inTurn } from "./in-turn.ts";
import type { JsonObject } from "./json.ts";
import type { PluginLookup } from "./lookup.ts";
import type { PluginCall } from "./plugin.ts";
import type { PodNamespace } from "./pod-namespace.ts";
import { emptyResult, type CniResult } from "./result.ts";
import { isVersionAtLeast } from "./version.ts";

/** One pod's attachment to one network. */
export interface Attachment {
  /** 0 is the network that every pod gets, above are those that it asked for besides. */
  readonly position: number;
  readonly network: NetworkConf;
  readonly containerId: string;
  readonly netns: string;
  readonly ifname: string;
  readonly args: string;
  readonly capabilities: JsonObject;
}

/** What a run through a chain needs besides the attachment. */
export interface ChainContext {
  readonly lookup: PluginLookup;
  readonly job: Pick<Job, "stage" | "note">;
  readonly signal: AbortSignal;
  /** Absent where the namespace is gone. */
  readonly namespace: PodNamespace | undefined;
}

/** What DEL left for later; run it after the caller has its answer, or at once. */
export type Afterwork = (context: ChainContext) => Promise<void>;

/** ADD of every plugin in order, each with the result so far; the caller undoes a failure with {@link delChain}. */
export async function addChain(attachment: Attachment, context: ChainContext): Promise<CniResult> {
  let result: CniResult | undefined;
  for (const conf of attachment.network.plugins) {
    const previous = result;
    result = await context.job.stage(stageName(conf, "ADD", attachment), async () => {
      const plugin = await context.lookup(conf.type);
      return plugin.add(pluginCall(attachment, context, conf, previous));
    });
  }
  return result ?? emptyResult;
}

/**
 * DEL of every plugin, the last first, each with ADD's result. A failed one does not keep the others from their
 * part; all failures come as one error. Gives what the plugins left for later.
 */
export async function delChain(
  attachment: Attachment,
  context: ChainContext,
  result: CniResult | undefined,
): Promise<Afterwork[]> {
  const afterwork: Afterwork[] = [];
  await inTurn(
    attachment.network.plugins.toReversed().map(
      (conf) => () =>
        context.job.stage(stageName(conf, "DEL", attachment), async () => {
          const plugin = await context.lookup(conf.type);
          await plugin.del({
            ...pluginCall(attachment, context, conf, result),
            afterwards: (work) => {
              afterwork.push((later) => work(pluginCall(attachment, later, conf, result)));
            },
          });
        }),
    ),
  );
  return afterwork;
}

/** CHECK of every plugin in order; nothing where the network says that it can't be checked. */
export async function checkChain(
  attachment: Attachment,
  context: ChainContext,
  result: CniResult,
): Promise<void> {
  const { network } = attachment;
  if (network.disableCheck || !isVersionAtLeast(network.cniVersion, "0.4.0")) return;
  for (const conf of network.plugins) {
    const plugin = await context.lookup(conf.type);
    await plugin.check(pluginCall(attachment, context, conf, result));
  }
}

/** A plugin's configuration as it is called with: the network's name and version, no `capabilities` (CNI spec 1.1, section 3). */
export function callConf(network: NetworkConf, conf: PluginConf, capabilities: JsonObject): PluginConf {
  const { capabilities: _declared, ...rest } = conf;
  const runtimeConfig = runtimeConfigFor(conf, capabilities);
  return {
    ...rest,
    type: conf.type,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
  };
}

/** Makes what a plugin is called with. */
export function pluginCall(
  attachment: Attachment,
  context: ChainContext,
  conf: PluginConf,
  prevResult: CniResult | undefined,
): PluginCall {
  const { network, containerId, ifname, args, capabilities } = attachment;
  return {
    containerId,
    netns: context.namespace === undefined ? "" : attachment.netns,
    ifname,
    args,
    conf: callConf(network, conf, capabilities),
    ...(prevResult === undefined ? {} : { prevResult }),
    ...(context.namespace === undefined ? {} : { namespace: context.namespace }),
    signal: context.signal,
    note: (text) => {
      context.job.note(text);
    },
    delegate: context.lookup,
    afterwards: () => {
      throw new RuntimeError("internal", `plugin ${conf.type}: only DEL may leave work for later`);
    },
  };
}

/** How a plugin's turn shows in the job; that of another network than the pod's own names its interface. */
function stageName({ type }: PluginConf, command: string, { position, ifname }: Attachment): string {
  return `cni ${type} ${command}${position === 0 ? "" : ` ${ifname}`}`;
}
