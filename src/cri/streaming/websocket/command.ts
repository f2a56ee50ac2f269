import type { WebSocket } from "ws";
import type { StreamingBackend } from "../backend.ts";
import { runCommand, streamsOf, type CommandRequest } from "../command.ts";
import { encodeOutcome, type Outcome } from "../outcome.ts";
import type { ConnectionTiming } from "../timing.ts";
import { commandChannel } from "./channels.ts";
import { ChannelConnection } from "./connection.ts";
import type { ChannelProtocol } from "./protocols.ts";

/** Serves an exec or an attach over a WebSocket, with a channel each for stdin, stdout, stderr, error and resize. */
export async function serveWebSocketCommand(
  webSocket: WebSocket,
  protocol: ChannelProtocol,
  request: CommandRequest,
  backend: StreamingBackend,
  timing: ConnectionTiming,
): Promise<Outcome> {
  const { stdin, stdout, stderr, tty } = streamsOf(request);
  const { codec, halfClose } = protocol;
  const incoming = [...(stdin ? [commandChannel.stdin] : []), ...(tty ? [commandChannel.resize] : [])];
  const connection = new ChannelConnection(webSocket, { codec, halfClose, incoming }, timing);
  // Clients wait for a first message to know that the command is being run.
  await connection.send(firstChannel(stdout, stderr), Buffer.alloc(0));
  const send = (channel: number, isWanted: boolean) => async (bytes: Buffer) => {
    if (isWanted && bytes.length > 0) await connection.send(channel, bytes);
  };
  const outcome = await runCommand(
    request,
    {
      stdin: connection.incoming(commandChannel.stdin),
      stdout: send(commandChannel.stdout, stdout),
      stderr: send(commandChannel.stderr, stderr),
      resizes: connection.incoming(commandChannel.resize),
      signal: connection.signal,
    },
    backend,
  );
  const bytes = encodeOutcome(outcome, protocol.outcome);
  if (bytes !== undefined) await connection.send(commandChannel.error, bytes);
  await connection.finish();
  return outcome;
}

/** The lowest channel that the server sends on. */
function firstChannel(stdout: boolean, stderr: boolean): number {
  if (stdout) return commandChannel.stdout;
  return stderr ? commandChannel.stderr : commandChannel.error;
}
