import { callConf, type ChainContext } from "./chain.ts";
import type { NetworkConf } from "./conf.ts";
import { inTurn } from "./in-turn.ts";
import type { PluginLookup } from "./lookup.ts";
import type { NetworkGate } from "./network-gate.ts";
import type { RecordBook } from "./record.ts";

/** What collecting garbage needs. */
export interface GarbageContext {
  readonly records: RecordBook;
  readonly gate: NetworkGate;
  readonly lookup: PluginLookup;
  readonly job: ChainContext["job"];
  readonly deadline: AbortSignal;
}

/** How long one plugin may take, in milliseconds: pods of the network wait for it. */
const pluginTimeoutMs = 30_000;

/**
 * CNI GC: lets every plugin of a network drop what belongs to no recorded attachment. A network that says `disableGC`,
 * for its folder is shared with another runtime, is left alone. One plugin's failure does not keep the others from
 * theirs; all come as one error.
 */
export async function collectGarbage(network: NetworkConf, context: GarbageContext): Promise<void> {
  if (network.disableGc) return;
  const { records, gate, lookup, job, deadline } = context;
  using _alone = await gate.enterAlone(network.name, deadline);
  const own = records.all().filter((record) => record.network.name === network.name);
  const valid = own.map(({ podId, ifname }) => ({ containerID: podId, ifname }));
  const note = (text: string): void => {
    job.note(text);
  };
  await inTurn(
    network.plugins.map(
      (conf) => () =>
        job.stage(`cni ${conf.type} GC`, async () => {
          const plugin = await lookup(conf.type);
          const signal = AbortSignal.any([deadline, AbortSignal.timeout(pluginTimeoutMs)]);
          await plugin.gc({ conf: callConf(network, conf, {}), signal, note, delegate: lookup }, valid);
        }),
    ),
  );
}
