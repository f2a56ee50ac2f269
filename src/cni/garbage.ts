import type { ChainContext } from "./chain.ts";
import { callConf } from "./chain.ts";
import type { NetworkConf } from "./conf.ts";
import type { PluginLookup } from "./lookup.ts";
import type { RecordBook } from "./record.ts";

/**
 * CNI GC: lets every plugin of the networks drop what belongs to no recorded attachment. A network that says
 * `disableGC`, for its folder is shared with another runtime, is left alone.
 */
export async function collectGarbage(
  networks: readonly NetworkConf[],
  records: RecordBook,
  lookup: PluginLookup,
  job: ChainContext["job"],
  deadline: AbortSignal,
): Promise<void> {
  const note = (text: string): void => {
    job.note(text);
  };
  for (const network of networks.filter(({ disableGc }) => !disableGc)) {
    for (const conf of network.plugins) {
      await job.stage(`cni ${conf.type} GC`, async () => {
        const plugin = await lookup(conf.type);
        const call = { conf: callConf(network, conf, {}), signal: deadline, note, delegate: lookup };
        // Now, not before: pods may have come since. A record is older than what it stands for.
        const own = records.all().filter((record) => record.network.name === network.name);
        const valid = own.map(({ podId, ifname }) => ({ containerID: podId, ifname }));
        await plugin.gc(call, valid);
      });
    }
  }
}
