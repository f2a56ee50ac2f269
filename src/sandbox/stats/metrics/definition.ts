import type { FileSystem } from "../../../sys/index.ts";
import type { InterfaceUsage } from "../network.ts";
import type { CgroupDetail, CgroupUsage } from "../numbers.ts";
import type { ProcessCounts } from "../processes.ts";
import type { LayerUsage } from "../writable-layers.ts";

/** The numbers of one container or pod that its metrics are made of; what it has not is absent. */
export interface MetricSource {
  readonly usage: CgroupUsage | undefined;
  readonly detail: CgroupDetail | undefined;
  readonly processes: ProcessCounts | undefined;
  readonly maxOpenFiles: bigint | undefined;
  readonly layer: LayerUsage | undefined;
  /** The file system of writable layers. */
  readonly filesystem: (FileSystem & { readonly device: string }) | undefined;
  readonly interfaces: readonly InterfaceUsage[];
  /** CPU shares as asked for. */
  readonly shares: bigint | undefined;
  /** Nanoseconds since the epoch. */
  readonly startedAt: bigint;
  readonly now: bigint;
  readonly deviceName: (major: number, minor: number) => string;
}

/** One value of a metric. */
export interface MetricValue {
  /** Of the definition's labels, in their order. */
  readonly labels: readonly string[];
  readonly value: bigint;
  /** Nanoseconds since the epoch, for what was measured ahead of the call; absent is now. */
  readonly at?: bigint;
}

/** A metric under cAdvisor's name and with its meaning. */
export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  /** Labels besides those that all metrics have. */
  readonly labels: readonly string[];
  readonly values: (source: MetricSource) => readonly MetricValue[];
}

type Read = (source: MetricSource) => bigint | undefined;

/** A metric that only grows, of one value. */
export function counter(name: string, help: string, read: Read): MetricDefinition {
  return { name, help, kind: "counter", labels: [], values: (source) => single(read(source)) };
}

/** A metric that moves both ways, of one value. */
export function gauge(name: string, help: string, read: Read): MetricDefinition {
  return { name, help, kind: "gauge", labels: [], values: (source) => single(read(source)) };
}

/** Nanoseconds as metrics have them: whole seconds, since the CRI carries integers. */
export function seconds(nanoseconds: bigint | undefined): bigint | undefined {
  return nanoseconds === undefined ? undefined : nanoseconds / 1_000_000_000n;
}

function single(value: bigint | undefined): readonly MetricValue[] {
  return value === undefined ? [] : [{ labels: [], value }];
}
