import { request } from "node:http";
import type { Duplex } from "node:stream";
import { createWebSocketStream, WebSocket } from "ws";
import { FrameDecoder } from "../../src/cri/streaming/spdy/decoder.ts";
import { control, dataHeader, rstStream, words } from "../../src/cri/streaming/spdy/encoder.ts";
import { controlType, resetStatus, type Frame } from "../../src/cri/streaming/spdy/frames.ts";
import { formatHeaderBlock } from "../../src/cri/streaming/spdy/header-block.ts";
import { HeaderDeflater } from "../../src/cri/streaming/spdy/header-compression.ts";

/** An upgrade that the server did not grant. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, body: string) {
    super(body);
    this.status = status;
  }
}

/** One stream of a {@link SpdyClient}. */
export class ClientStream {
  readonly id: number;
  readonly accepted = Promise.withResolvers<undefined>();
  /** Resolves when the server ends the stream, resets it or the connection is gone. */
  readonly ended = Promise.withResolvers<"fin" | "reset" | "gone">();
  readonly #client: SpdyClient;
  readonly #received: Buffer[] = [];

  constructor(client: SpdyClient, id: number) {
    this.#client = client;
    this.id = id;
    this.accepted.promise.catch(() => undefined);
  }

  get receivedBytes(): number {
    return this.#received.reduce((sum, piece) => sum + piece.length, 0);
  }

  /** Everything that the server sends on this stream, as text. */
  async text(): Promise<string> {
    await this.ended.promise;
    return Buffer.concat(this.#received).toString();
  }

  /** Sends bytes; false when the socket's buffer is full. */
  write(bytes: Buffer | string): boolean {
    const data = Buffer.from(bytes as string);
    return this.#client.send(Buffer.concat([dataHeader(this.id, data.length, "more"), data]));
  }

  end(): void {
    this.#client.send(dataHeader(this.id, 0, "fin"));
  }

  reset(): void {
    this.#client.send(rstStream(this.id, resetStatus.cancel));
  }

  take(frame: Frame): void {
    if (frame.type === "data") this.#received.push(frame.bytes);
    if (frame.type === "syn-reply") this.accepted.resolve(undefined);
    if (frame.type === "data" && frame.fin) this.ended.resolve("fin");
    if (frame.type === "rst-stream") {
      this.ended.resolve("reset");
      this.accepted.reject(new Error(`stream reset with status ${frame.status}`));
    }
  }
}

/** A small client of SPDY/3.1, which gives no windows unless told to, as Go's does. */
export class SpdyClient implements AsyncDisposable {
  /** Resolves when the connection is gone. */
  readonly closed = Promise.withResolvers<undefined>();
  /** All frames received. */
  readonly frames: Frame[] = [];
  readonly socket: Duplex;
  readonly protocol: string;
  readonly #decoder = new FrameDecoder();
  readonly #deflater = new HeaderDeflater();
  readonly #streams = new Map<number, ClientStream>();
  #nextId = 1;

  private constructor(socket: Duplex, protocol: string) {
    this.socket = socket;
    this.protocol = protocol;
    socket.on("data", (chunk: Buffer) => {
      for (const frame of this.#decoder.push(chunk)) {
        this.frames.push(frame);
        if ("streamId" in frame) this.#streams.get(frame.streamId)?.take(frame);
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      for (const stream of this.#streams.values()) {
        stream.accepted.reject(new Error("the connection is gone"));
        stream.ended.resolve("gone");
      }
      this.closed.resolve(undefined);
    });
  }

  /** Upgrades; throws {@link Refused} with the server's status and words. */
  static async open(url: string, ...protocols: readonly string[]): Promise<SpdyClient> {
    return new Promise((resolve, reject) => {
      const headers = {
        Connection: "Upgrade",
        Upgrade: "SPDY/3.1",
        "X-Stream-Protocol-Version": [...protocols],
      };
      const upgrade = request(url, { method: "POST", headers, agent: false });
      upgrade.on("error", reject);
      upgrade.on("upgrade", (response, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(new SpdyClient(socket, String(response.headers["x-stream-protocol-version"])));
      });
      upgrade.on("response", (response) => {
        let body = "";
        response.on("data", (part: Buffer) => (body += part.toString()));
        response.on("end", () => {
          reject(new Refused(response.statusCode ?? 0, body));
        });
      });
      upgrade.end();
    });
  }

  /** As {@link open}, in the binary messages of a WebSocket. */
  static async openTunnel(url: string, protocol: string): Promise<SpdyClient> {
    // The library takes no name with a slash in it, and refuses an answer to a header that it did not set.
    const webSocket = new WebSocket(url.replace("http:", "ws:"), {
      finishRequest: (upgrade) => {
        upgrade.setHeader("Sec-WebSocket-Protocol", `SPDY/3.1+${protocol}`);
        upgrade.end();
      },
    });
    const granted = Promise.withResolvers<string>();
    webSocket.on("upgrade", ({ headers }) => {
      granted.resolve(String(headers["sec-websocket-protocol"]));
      delete headers["sec-websocket-protocol"];
    });
    webSocket.on("error", granted.reject);
    return new SpdyClient(createWebSocketStream(webSocket), await granted.promise);
  }

  /** Opens a stream without waiting for the answer. */
  begin(headers: Readonly<Record<string, string>>): ClientStream {
    const stream = new ClientStream(this, this.#nextId);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    const block = this.#deflater.deflate(formatHeaderBlock(new Map(Object.entries(headers))));
    const fixed = Buffer.concat([words(stream.id, 0), Buffer.of(0, 0)]);
    this.send(Buffer.concat([control(controlType.synStream, 0, fixed.length + block.length), fixed, block]));
    return stream;
  }

  /** Opens a stream; rejects where the server resets it. */
  async stream(headers: Readonly<Record<string, string>>): Promise<ClientStream> {
    const stream = this.begin(headers);
    await stream.accepted.promise;
    return stream;
  }

  /** Sends bytes as they are. */
  send(bytes: Buffer): boolean {
    return this.socket.write(bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed.promise;
  }
}
