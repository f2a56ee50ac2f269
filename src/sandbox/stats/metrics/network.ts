import type { InterfaceUsage } from "../network.ts";
import type { MetricDefinition } from "./definition.ts";

function traffic(name: string, help: string, key: Exclude<keyof InterfaceUsage, "name">): MetricDefinition {
  return {
    name: `container_network_${name}_total`,
    help,
    kind: "counter",
    labels: ["interface"],
    values: ({ interfaces }) => interfaces.map((one) => ({ labels: [one.name], value: one[key] })),
  };
}

/** Traffic of a pod. */
export const networkMetrics: readonly MetricDefinition[] = [
  traffic("receive_bytes", "Bytes received.", "rxBytes"),
  traffic("receive_packets", "Packets received.", "rxPackets"),
  traffic("receive_packets_dropped", "Packets dropped on receipt.", "rxDropped"),
  traffic("receive_errors", "Packets received damaged.", "rxErrors"),
  traffic("transmit_bytes", "Bytes sent.", "txBytes"),
  traffic("transmit_packets", "Packets sent.", "txPackets"),
  traffic("transmit_packets_dropped", "Packets dropped instead of sent.", "txDropped"),
  traffic("transmit_errors", "Packets that could not be sent.", "txErrors"),
];
