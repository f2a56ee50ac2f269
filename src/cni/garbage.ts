import { callConf, type ChainContext } from "./chain.ts";
import type { NetworkConf } from "./conf.ts";
import { inTurn } from "./in-turn.ts";
import type { PluginLookup } from "./lookup.ts";
import type { RecordBook } from "./record.ts";

/**
 * CNI GC: lets every plugin of a network drop what belongs to no recorded attachment. A network that says `disableGC`,
 * for its folder is shared with another runtime, is left alone. One plugin's failure does not keep the others from
 * theirs; all come as one error.
 */
export async function collectGarbage(
  network: NetworkConf,
  records: RecordBook,
  lookup: PluginLookup,
  job: ChainContext["job"],
  deadline: AbortSignal,
): Promise<void> {
  if (network.disableGc) return;
  const note = (text: string): void => {
    job.note(text);
  };
  await inTurn(
    network.plugins.map(
      (conf) => () =>
        job.stage(`cni ${conf.type} GC`, async () => {
          const plugin = await lookup(conf.type);
          const call = { conf: callConf(network, conf, {}), signal: deadline, note, delegate: lookup };
          // Now, not before: pods may have come since. A record is older than what it stands for.
          const own = records.all().filter((record) => record.network.name === network.name);
          const valid = own.map(({ podId, ifname }) => ({ containerID: podId, ifname }));
          await plugin.gc(call, valid);
        }),
    ),
  );
}
