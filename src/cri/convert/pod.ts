import { isIP } from "node:net";
import type { DnsConfig, Pod, PodConfig, PortMapping } from "../../core/pod.ts";
import type { DNSConfig__Output } from "../types/runtime/v1/DNSConfig.ts";
import type { PodSandbox } from "../types/runtime/v1/PodSandbox.ts";
import type { PodSandboxConfig__Output } from "../types/runtime/v1/PodSandboxConfig.ts";
import type { PodSandboxStatus } from "../types/runtime/v1/PodSandboxStatus.ts";
import type { PortMapping__Output } from "../types/runtime/v1/PortMapping.ts";
import { hostPath, invalid, oneOf, plainText, required, requiredText } from "./fields.ts";
import { resourcesFromProto } from "./resources.ts";
import { namespacesToProto, podSecurityFromProto } from "./security.ts";

/** Reads a pod's configuration; throws `invalid-argument` naming the field. */
export function podConfigFromProto(proto: PodSandboxConfig__Output | null): PodConfig {
  const config = required("config", proto);
  const metadata = required("config.metadata", config.metadata);
  const linux = config.linux;
  return {
    metadata: {
      name: requiredText("config.metadata.name", metadata.name),
      namespace: requiredText("config.metadata.namespace", metadata.namespace),
      uid: requiredText("config.metadata.uid", metadata.uid),
      attempt: metadata.attempt,
    },
    hostname: config.hostname,
    logDirectory: config.log_directory === "" ? "" : hostPath("config.log_directory", config.log_directory),
    ...(config.dns_config === null ? {} : { dns: dnsFromProto(config.dns_config) }),
    portMappings: config.port_mappings.map(portFromProto),
    labels: config.labels,
    annotations: config.annotations,
    cgroupParent: linux === null || linux.cgroup_parent === "" ? "" : cgroupParent(linux.cgroup_parent),
    sysctls: linux?.sysctls ?? {},
    security: podSecurityFromProto("config.linux.security_context", linux?.security_context ?? null),
    resources: resourcesFromProto("config.linux.resources", linux?.resources ?? null),
    overhead: resourcesFromProto("config.linux.overhead", linux?.overhead ?? null),
  };
}

/** An item of ListPodSandbox. */
export function podToProto(pod: Pod): PodSandbox {
  return {
    id: pod.id,
    metadata: pod.config.metadata,
    state: pod.state.state === "ready" ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
    created_at: String(pod.createdAt),
    labels: pod.config.labels,
    annotations: pod.config.annotations,
    runtime_handler: pod.runtimeHandler,
  };
}

/** The status of a pod. */
export function podStatusToProto(pod: Pod): PodSandboxStatus {
  const ips = pod.state.state === "creating" ? [] : pod.state.network.ips;
  return {
    id: pod.id,
    metadata: pod.config.metadata,
    state: pod.state.state === "ready" ? "SANDBOX_READY" : "SANDBOX_NOTREADY",
    created_at: String(pod.createdAt),
    network: { ip: ips[0] ?? "", additional_ips: ips.slice(1).map((ip) => ({ ip })) },
    linux: { namespaces: { options: namespacesToProto(pod.config.security.namespaces) } },
    labels: pod.config.labels,
    annotations: pod.config.annotations,
    runtime_handler: pod.runtimeHandler,
  };
}

/** Absolute from the hierarchies' roots; a `.slice` name belongs to the systemd driver. */
function cgroupParent(value: string): string {
  const field = "config.linux.cgroup_parent";
  if (value.endsWith(".slice") && !value.startsWith("/")) {
    invalid(field, `${value} is a systemd slice, but the cgroup driver is cgroupfs`);
  }
  return hostPath(field, plainText(field, value.startsWith("/") ? value : `/${value}`));
}

function dnsFromProto(dns: DNSConfig__Output): DnsConfig {
  const words = (name: "servers" | "searches" | "options"): string[] =>
    dns[name].map((value, index) => {
      const field = `config.dns_config.${name}[${index}]`;
      return /\s/.test(value)
        ? invalid(field, `has white space: ${JSON.stringify(value)}`)
        : requiredText(field, value);
    });
  const servers = words("servers");
  const wrong = servers.findIndex((server) => isIP(server) === 0);
  if (wrong >= 0)
    invalid(`config.dns_config.servers[${wrong}]`, `not an IP address: ${servers[wrong] ?? ""}`);
  return { servers, searches: words("searches"), options: words("options") };
}

function portFromProto(port: PortMapping__Output, index: number): PortMapping {
  const field = `config.port_mappings[${index}]`;
  const number = (name: "container_port" | "host_port", least: number): number => {
    const value = port[name];
    return value >= least && value <= 65_535
      ? value
      : invalid(`${field}.${name}`, `${value} is not within ${least} to 65535`);
  };
  return {
    protocol: oneOf(`${field}.protocol`, port.protocol, { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const),
    containerPort: number("container_port", port.host_port === 0 ? 0 : 1),
    hostPort: number("host_port", 0),
    hostIp:
      port.host_ip === "" || isIP(port.host_ip) !== 0
        ? port.host_ip
        : invalid(`${field}.host_ip`, `not an IP address: ${JSON.stringify(port.host_ip)}`),
  };
}
