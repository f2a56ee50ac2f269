import type { OutcomeFormat } from "./outcome.ts";

/** What a version of the remote command protocol can do. */
export interface CommandProtocol {
  readonly name: string;
  readonly outcome: OutcomeFormat;
  /** A stream of its own tells the terminal's size; from v3 on. */
  readonly resizes: boolean;
}

/** The versions over SPDY; v5 differs from v4 on WebSocket alone. */
export const commandProtocols: readonly CommandProtocol[] = [
  { name: "v5.channel.k8s.io", outcome: "status", resizes: true },
  { name: "v4.channel.k8s.io", outcome: "status", resizes: true },
  { name: "v3.channel.k8s.io", outcome: "text", resizes: true },
  { name: "v2.channel.k8s.io", outcome: "text", resizes: false },
  { name: "channel.k8s.io", outcome: "text", resizes: false },
];

/** Port-forwarding over SPDY. */
export const portForwardProtocol = "portforward.k8s.io";

/** The first of the client's protocols, in its order of preference, that the server speaks. */
export function chooseProtocol<T extends { readonly name: string }>(
  offered: readonly string[],
  spoken: readonly T[],
): T | undefined {
  for (const name of offered) {
    const match = spoken.find((protocol) => protocol.name === name);
    if (match !== undefined) return match;
  }
  return undefined;
}

/** The parts of a header that lists names, which may come several times. */
export function listedIn(header: string | readonly string[] | undefined): string[] {
  const lines = typeof header === "string" ? [header] : (header ?? []);
  return lines
    .flatMap((line) => line.split(","))
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
