import type { OutcomeFormat } from "../outcome.ts";
import { portForwardProtocol } from "../protocols.ts";
import type { ChannelCodec } from "./channels.ts";

/** What a WebSocket subprotocol means. */
export interface ChannelProtocol {
  /** Empty for a client that names none. */
  readonly name: string;
  readonly codec: ChannelCodec;
  readonly outcome: OutcomeFormat;
  /** A channel can be closed from the client's side alone. */
  readonly halfClose: boolean;
}

/** The subprotocols of exec and attach. */
export const commandChannelProtocols: readonly ChannelProtocol[] = [
  { name: "v5.channel.k8s.io", codec: "binary", outcome: "status", halfClose: true },
  { name: "v4.channel.k8s.io", codec: "binary", outcome: "status", halfClose: false },
  { name: "v4.base64.channel.k8s.io", codec: "base64", outcome: "status", halfClose: false },
  { name: "channel.k8s.io", codec: "binary", outcome: "text", halfClose: false },
  { name: "base64.channel.k8s.io", codec: "base64", outcome: "text", halfClose: false },
  { name: "", codec: "binary", outcome: "text", halfClose: false },
];

/** How a port-forward session runs over a WebSocket: its own channels, or SPDY in binary messages. */
export type ForwardProtocol =
  | { readonly name: string; readonly carries: "channels"; readonly codec: ChannelCodec }
  | { readonly name: string; readonly carries: "spdy" };

/** With this in front of it, a SPDY protocol's name is that of its tunnel. */
export const spdyTunnelPrefix = "SPDY/3.1+";

/** The subprotocols of port-forward. */
export const forwardChannelProtocols: readonly ForwardProtocol[] = [
  { name: `${spdyTunnelPrefix}${portForwardProtocol}`, carries: "spdy" },
  { name: "v4.channel.k8s.io", carries: "channels", codec: "binary" },
  { name: "v4.base64.channel.k8s.io", carries: "channels", codec: "base64" },
  { name: "", carries: "channels", codec: "binary" },
];
