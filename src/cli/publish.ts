import { RuntimeError } from "../core/errors.ts";
import type { PortMapping } from "../cri/types/runtime/v1/PortMapping.ts";

const protocols = { tcp: "TCP", udp: "UDP", sctp: "SCTP" } as const;
const pattern =
  /^(?:(?<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):)?(?<host>\d+):(?<container>\d+)(?:\/(?<protocol>tcp|udp|sctp))?$/;
const maxPort = 65_535;

/** Reads `[IP:]HOST:CONTAINER[/PROTOCOL]`, an IPv6 address in brackets; throws `invalid-argument`. */
export function readPublish(word: string): PortMapping {
  const groups = pattern.exec(word)?.groups;
  if (groups === undefined) {
    throw new RuntimeError(
      "invalid-argument",
      `--publish: expected [IP:]HOST:CONTAINER[/PROTOCOL], not ${JSON.stringify(word)}`,
    );
  }
  const { ip = "", host, container, protocol } = groups;
  return {
    host_ip: ip.replaceAll(/[[\]]/g, ""),
    host_port: port(word, host),
    container_port: port(word, container),
    protocol: protocols[(protocol ?? "tcp") as keyof typeof protocols],
  };
}

function port(word: string, digits: string | undefined): number {
  const number = Number(digits);
  if (number >= 1 && number <= maxPort) return number;
  throw new RuntimeError("invalid-argument", `--publish ${word}: a port is from 1 to ${maxPort}`);
}
