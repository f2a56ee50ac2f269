import type { HostNetwork } from "../host-network.ts";
import { hostBackend } from "../iptables/backend.ts";
import { stringField } from "../json.ts";
import type { Plugin } from "../plugin.ts";
import { podAddresses, readPortmapConf, wantsHostPorts, type PortmapConf } from "../portmap/conf.ts";
import { iptablesMapper } from "../portmap/iptables.ts";
import type { PortMapper } from "../portmap/mapper.ts";
import { nftablesMapper } from "../portmap/nftables.ts";
import { emptyResult } from "../result.ts";

/**
 * Leads ports of the host to pods: the reference plugin's keys and results.
 *
 * @see https://www.cni.dev/plugins/current/meta/portmap/
 */
export function portmapPlugin(host: HostNetwork): Plugin {
  const mappers = { nftables: nftablesMapper(host), iptables: iptablesMapper(host) };
  const mapperOf = async (conf: PortmapConf): Promise<PortMapper> =>
    mappers[conf.backend ?? (await hostBackend(host.environment))];
  return {
    type: "portmap",
    add: async (call) => {
      const conf = readPortmapConf(call.conf);
      const pods = podAddresses(call);
      if (conf.ports.length > 0) {
        const mapper = await mapperOf(conf);
        await mapper.add(call, conf, pods);
      }
      return call.prevResult ?? emptyResult;
    },
    del: async (call) => {
      if (!wantsHostPorts(call.conf)) return;
      // Both: the host, or the configuration, may have changed since, and each finds out quickly that it has nothing.
      const network = stringField(call.conf, "name", "portmap");
      await mappers.nftables.remove(call, network);
      await mappers.iptables.remove(call, network);
    },
    check: async (call) => {
      const conf = readPortmapConf(call.conf);
      if (conf.ports.length === 0) return;
      const mapper = await mapperOf(conf);
      await mapper.check(call, conf, podAddresses(call));
    },
    gc: async (call, valid) => {
      const network = stringField(call.conf, "name", "portmap");
      await mappers.nftables.gc(call, network, valid);
      await mappers.iptables.gc(call, network, valid);
    },
  };
}
