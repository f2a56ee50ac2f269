import { booleanField, countField, objectField, stringField, type JsonObject } from "../json.ts";
import { readDns, type CniDns } from "../result.ts";

/** The configuration of the plugin ptp: the reference plugin's keys. `ipMasqBackend` has no effect. */
export interface PtpConf {
  readonly network: string;
  readonly ipMasq: boolean;
  /** Bytes; undefined is the kernel's default. */
  readonly mtu: number | undefined;
  readonly ipam: string;
  readonly dns: CniDns;
}

/** Reads the configuration; throws `invalid-argument` naming the network. */
export function readPtpConf(conf: JsonObject): PtpConf {
  const network = stringField(conf, "name", "ptp");
  const what = `network ${network}: ptp`;
  const mtu = countField(conf, "mtu", what) ?? 0;
  return {
    network,
    ipMasq: booleanField(conf, "ipMasq", what),
    mtu: mtu === 0 ? undefined : mtu,
    ipam: stringField(objectField(conf, "ipam", what) ?? {}, "type", what),
    dns: readDns(objectField(conf, "dns", what) ?? {}, what),
  };
}
