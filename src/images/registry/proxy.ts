import { BlockList, isIP } from "node:net";
import { RuntimeError } from "../../core/errors.ts";

/** The proxy for a URL; undefined where none is used. */
export type ProxyChooser = (url: URL) => URL | undefined;

/** Variables of an environment, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY (or their names in lower case) as Go's programs do; loopback is never
 * reached by a proxy. The chooser throws `failed-precondition` for a proxy that cannot be used, never naming its
 * password. @see https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
 */
export function readProxies(environment: Environment): ProxyChooser {
  const variable = (name: string): { name: string; value: string } => {
    const upper = environment[name];
    return { name, value: upper ? upper : (environment[name.toLowerCase()] ?? "") };
  };
  const proxies = { "http:": variable("HTTP_PROXY"), "https:": variable("HTTPS_PROXY") };
  const isExempt = readExemptions(variable("NO_PROXY").value);
  return (url) => {
    const proxy = url.protocol === "https:" ? proxies["https:"] : proxies["http:"];
    if (proxy.value === "" || isExempt(hostOf(url), portOf(url))) return undefined;
    return parseProxy(proxy.name, proxy.value);
  };
}

function parseProxy(name: string, value: string): URL {
  const url = URL.parse(value.includes("://") ? value : `http://${value}`);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new RuntimeError("failed-precondition", `${name}: expected the URL of an http or https proxy`);
  }
  return url;
}

/** True for a host, in lower case and without brackets, and a port that go without a proxy. */
type Exemption = (host: string, port: string) => boolean;

function readExemptions(text: string): Exemption {
  const rules = text
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== "")
    .map(readExemption);
  return (host, port) => isLoopback(host) || rules.some((rule) => rule(host, port));
}

/** `*`, an address, a range, `name` (it and what is below), `.name` or `*.name` (below it alone), each with a port. */
function readExemption(entry: string): Exemption {
  if (entry === "*") return () => true;
  const range = readRange(entry);
  if (range !== undefined) return (host) => isIP(host) !== 0 && range.check(host, familyOf(host));
  const bare = isIP(entry) === 6 ? `[${entry}]` : entry;
  const [, bracketed, plain = "", wanted] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(bare) ?? [];
  const name = (bracketed ?? plain).replace(/^\*(?=\.)/, "").replace(/\.$/, "");
  const isPort = (port: string): boolean => wanted === undefined || wanted === port;
  if (name === "") return () => false;
  if (isIP(name) !== 0) {
    const address = new BlockList();
    address.addAddress(name, familyOf(name));
    return (host, port) => isPort(port) && isIP(host) !== 0 && address.check(host, familyOf(host));
  }
  if (name.startsWith(".")) return (host, port) => isPort(port) && host.endsWith(name);
  return (host, port) => isPort(port) && (host === name || host.endsWith(`.${name}`));
}

function readRange(entry: string): BlockList | undefined {
  const [, address = "", bits = ""] = /^([0-9a-f:.]+)\/(\d{1,3})$/.exec(entry) ?? [];
  if (isIP(address) === 0 || Number(bits) > (isIP(address) === 4 ? 32 : 128)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, Number(bits), familyOf(address));
  return list;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  return host === "localhost" || (isIP(host) !== 0 && loopback.check(host, familyOf(host)));
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

function hostOf(url: URL): string {
  return url.hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
}

function portOf(url: URL): string {
  return url.port || (url.protocol === "https:" ? "443" : "80");
}
