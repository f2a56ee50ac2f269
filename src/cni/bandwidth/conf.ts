import { createHash } from "node:crypto";
import { RuntimeError } from "../../core/errors.ts";
import { countField, objectField, stringField, type JsonObject } from "../json.ts";
import type { TokenBucket } from "../netlink/traffic-control.ts";

/** What a pod may receive and send; undefined is no limit. */
export interface BandwidthConf {
  readonly network: string;
  readonly ingress: TokenBucket | undefined;
  readonly egress: TokenBucket | undefined;
}

/** How long a packet may wait: what comes beyond is dropped, in milliseconds (the reference plugin's choice). */
const latencyMs = 25;
/** The kernel's tick is 64 ns (PSCHED_SHIFT). */
const ticksPerMicrosecond = 15.625;
const maxU32 = 0xffff_ffff;
const keys = ["ingressRate", "ingressBurst", "egressRate", "egressBurst"] as const;
const linkPrefix = "bwp";
const maxLinkNameBytes = 15;

/** Reads the limits: those of the configuration, else the capability's. Throws `invalid-argument`. */
export function readBandwidthConf(conf: JsonObject): BandwidthConf {
  const network = stringField(conf, "name", "bandwidth");
  const what = `network ${network}: bandwidth`;
  const runtimeConfig = objectField(conf, "runtimeConfig", what) ?? {};
  const isConfigured = keys.some((key) => conf[key] !== undefined && conf[key] !== null);
  const limits = isConfigured ? conf : (objectField(runtimeConfig, "bandwidth", what) ?? {});
  return {
    network,
    ingress: readLimit(limits, "ingress", what),
    egress: readLimit(limits, "egress", what),
  };
}

/** The ifb that holds back what a container sends: the reference plugin's name for it. */
export function ifbName(network: string, containerId: string): string {
  const hash = createHash("sha512").update(`${network}${containerId}`).digest("hex");
  return `${linkPrefix}${hash}`.slice(0, maxLinkNameBytes);
}

/** A rate in bits a second and a burst in bits as a bucket with the reference plugin's figures. */
export function bucketOf(rateBits: number, burstBits: number): TokenBucket {
  const rate = Math.floor(rateBits / 8);
  const burst = Math.floor(burstBits / 8);
  const microseconds = Math.floor((burst * 1e6) / rate);
  return {
    rate: BigInt(rate),
    // More than fits is as much as fits: 4 minutes.
    buffer: Math.min(Math.floor(microseconds * ticksPerMicrosecond), maxU32),
    limit: Math.min(Math.floor((rate * latencyMs) / 1000) + burst, maxU32),
  };
}

function readLimit(limits: JsonObject, way: "ingress" | "egress", what: string): TokenBucket | undefined {
  const rate = countField(limits, `${way}Rate`, what) ?? 0;
  const burst = countField(limits, `${way}Burst`, what) ?? 0;
  if (rate === 0 && burst === 0) return undefined;
  if (rate === 0 || burst === 0) throw invalid(what, `${way}Rate and ${way}Burst go together`);
  if (burst / 8 >= maxU32) throw invalid(what, `${way}Burst is more than 4 GiB`);
  if (rate < 8 || burst < 8)
    throw invalid(what, `${way}Rate and ${way}Burst must be a byte, 8 bits, at least`);
  return bucketOf(rate, burst);
}

function invalid(what: string, problem: string): RuntimeError {
  return new RuntimeError("invalid-argument", `${what}: ${problem}`);
}
