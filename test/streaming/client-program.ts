/**
 * A client to run inside a world, where the daemon's loopback is: `client-program.ts <url> <json>`. Prints what came of
 * it as JSON.
 */
import { once } from "node:events";
import { WebSocket } from "ws";
import { decodeMessage, encodeMessage } from "../../src/cri/streaming/websocket/channels.ts";
import type { ClientRequest, ClientResult } from "./client-request.ts";
import { SpdyClient, type ClientStream } from "./spdy-client.ts";

const [, , url = "", json = "{}"] = process.argv;
const request = JSON.parse(json) as ClientRequest;

async function command(): Promise<ClientResult> {
  return request.over === "spdy" ? commandOverSpdy() : commandOverWebSocket();
}

async function commandOverSpdy(): Promise<ClientResult> {
  await using client = await SpdyClient.open(url, "v5.channel.k8s.io");
  const streams = new Map<string, ClientStream>();
  for (const streamtype of ["error", ...request.streams]) {
    streams.set(streamtype, await client.stream({ streamtype }));
  }
  const stdin = streams.get("stdin");
  if (request.size !== undefined) streams.get("resize")?.write(request.size);
  if (request.input !== undefined) stdin?.write(request.input);
  if (request.vanishAfterMs !== undefined) await vanish();
  stdin?.end();
  const text = async (type: string): Promise<string> => (await streams.get(type)?.text()) ?? "";
  return { stdout: await text("stdout"), stderr: await text("stderr"), error: await text("error") };
}

async function commandOverWebSocket(): Promise<ClientResult> {
  const socket = new WebSocket(url.replace("http:", "ws:"), "v5.channel.k8s.io");
  const received: Buffer[][] = [[], [], [], []];
  socket.on("message", (data) => {
    const message = decodeMessage("binary", data);
    if (message !== undefined) received[message.channel]?.push(message.bytes);
  });
  const closed = once(socket, "close");
  await once(socket, "open");
  const send = (channel: number, bytes: Buffer): void => {
    socket.send(encodeMessage("binary", channel, bytes));
  };
  if (request.size !== undefined) send(4, Buffer.from(request.size));
  if (request.input !== undefined) send(0, Buffer.from(request.input));
  if (request.vanishAfterMs !== undefined) await vanish();
  send(255, Buffer.of(0));
  await closed;
  const [, stdout = "", stderr = "", error = ""] = received.map((pieces) => Buffer.concat(pieces).toString());
  return { stdout, stderr, error };
}

/** Ends as a client does that is killed. */
async function vanish(): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, request.vanishAfterMs));
  process.kill(process.pid, "SIGKILL");
  return new Promise<never>(() => undefined);
}

/** Several connections at once, each with the same input, half-closed. */
async function forwarded(): Promise<ClientResult> {
  const open =
    request.over === "spdy"
      ? SpdyClient.open(url, "portforward.k8s.io")
      : SpdyClient.openTunnel(url, "portforward.k8s.io");
  await using client = await open;
  const one = async (requestid: string): Promise<ClientResult> => {
    const port = String(request.port);
    const error = await client.stream({ streamtype: "error", port, requestid });
    const data = await client.stream({ streamtype: "data", port, requestid });
    data.write(request.input ?? "");
    data.end();
    // The server's clock may go on to the next second between two answers.
    const stdout = (await data.text()).replace(/^Date: .*\r\n/m, "");
    return { stdout, stderr: "", error: await error.text() };
  };
  const results = await Promise.all(
    Array.from({ length: request.connections ?? 1 }, (_value, index) => one(String(index))),
  );
  const [first, ...others] = results;
  if (first === undefined) throw new Error("no connection");
  const differs = others.find((other) => JSON.stringify(other) !== JSON.stringify(first));
  if (differs !== undefined) throw new Error(`answers differ: ${JSON.stringify([first, differs])}`);
  return first;
}

console.log(JSON.stringify(await (request.port === undefined ? command() : forwarded())));
