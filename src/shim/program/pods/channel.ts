import type { ShimFailure } from "../../protocol/messages.ts";
import { asFailure, failure } from "../ffi/error.ts";
import { receiveWithFds, sendWithFds } from "../ffi/sockets.ts";
import { decode, encode } from "../json.ts";

/** What goes over the socket (SEQPACKET) between the launcher's child, the maker of the namespaces and the reaper. */
export const prepareMark = "prepare";
export const readyMark = "ready";
export const goMark = "go";
/** Bytes of the longest of these words, and more. */
export const maxMarkBytes = 16;
/** Bytes of a message with a document in it. */
const maxMessageBytes = 16 * 1024;

/** The namespaces are made; their descriptors come with it, in the order of the plan. */
export interface MadeMessage {
  readonly reaper?: number;
}

/** Tells the launcher's child that the namespaces are made. */
export function reportMade(channel: number, made: MadeMessage, fds: readonly number[]): void {
  sendWithFds(channel, encode({ made }), fds);
}

/** Tells the launcher's child why there will be no pod. */
export function reportFailure(channel: number, thrown: unknown): void {
  const { code, message, syscall, errno } = asFailure(thrown);
  pcall(sendWithFds, channel, encode({ error: { code, message, syscall, errno } }), []);
}

/** Waits for {@link reportMade}; throws what {@link reportFailure} said. */
export function awaitMade(channel: number): MadeMessage & { readonly fds: readonly number[] } {
  const { text, fds } = receive(channel, "maker of the namespaces");
  const { made } = decode(text, maxMessageBytes) as { made: MadeMessage };
  return { ...made, fds };
}

/** Has the reaper set itself up. */
export function prepareReaper(channel: number): void {
  sendWithFds(channel, prepareMark, []);
  receive(channel, "reaper");
}

function receive(channel: number, who: string): { readonly text: string; readonly fds: readonly number[] } {
  const received = receiveWithFds(channel, maxMessageBytes);
  if (received === undefined || received.text === "") throw failure("internal", `the ${who} ended early`);
  const [error] = string.find(received.text, '"error"', 1, true);
  if (error === undefined) return received;
  const document = decode(received.text, maxMessageBytes) as { error: ShimFailure };
  throw { ...document.error, failure: true };
}
