import { readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import type { DnsConfig, PodConfig } from "../../core/pod.ts";
import type { PodPaths } from "../paths.ts";

const localNames = [
  "127.0.0.1\tlocalhost",
  "::1\tlocalhost ip6-localhost ip6-loopback",
  "fe00::0\tip6-localnet",
  "ff00::0\tip6-mcastprefix",
  "ff02::1\tip6-allnodes",
  "ff02::2\tip6-allrouters",
];

/** The name that a pod's processes see: the requested one, else the host's. */
export function effectiveHostname(config: PodConfig): string {
  return config.hostname === "" ? hostname() : config.hostname;
}

/** /etc/hosts of a pod with a network of its own. */
export function hostsText(config: PodConfig, ips: readonly string[]): string {
  const name = effectiveHostname(config);
  return [...localNames, ...ips.map((ip) => `${ip}\t${name}`), ""].join("\n");
}

/** /etc/resolv.conf as the pod asks for it (resolv.conf(5)). */
export function resolvConfText(dns: DnsConfig): string {
  const lines = dns.servers.map((server) => `nameserver ${server}`);
  if (dns.searches.length > 0) lines.push(`search ${dns.searches.join(" ")}`);
  if (dns.options.length > 0) lines.push(`options ${dns.options.join(" ")}`);
  return [...lines, ""].join("\n");
}

/** Writes what does not depend on the network. */
export async function writeEarlyFiles(paths: PodPaths, config: PodConfig): Promise<void> {
  await Promise.all([
    writeFile(paths.hostname, `${effectiveHostname(config)}\n`, { mode: 0o644 }),
    config.dns === undefined
      ? copyOrEmpty("/etc/resolv.conf", paths.resolvConf)
      : writeFile(paths.resolvConf, resolvConfText(config.dns), { mode: 0o644 }),
  ]);
}

/** Writes /etc/hosts, once the addresses are known; a pod in the host's network has the host's. */
export async function writeHosts(paths: PodPaths, config: PodConfig, ips: readonly string[]): Promise<void> {
  if (config.security.namespaces.network === "node") await copyOrEmpty("/etc/hosts", paths.hosts);
  else await writeFile(paths.hosts, hostsText(config, ips), { mode: 0o644 });
}

async function copyOrEmpty(source: string, target: string): Promise<void> {
  const text = await readFile(source).catch(() => Buffer.alloc(0));
  await writeFile(target, text, { mode: 0o644 });
}
