import { mkdtemp, rm } from "node:fs/promises";
import { type Server, type Socket, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { frameHeaderBytes, frameMessage } from "../../../src/shim/protocol/frame.ts";
import { execSocketSuffix } from "../../../src/shim/protocol/launch.ts";

/** Who the fake is; a client with the same identity is content. */
export const fakeIdentity = { build: "fake-build", boot: "fake-boot" };

/** One frame as the client sent it. */
export interface ReceivedFrame {
  readonly kind: number;
  readonly payload: Buffer;
}

/** One connection as the fake sees it: nothing happens that its script does not do. */
export class FakePeer {
  private readonly socket: Socket;
  private input: Buffer = Buffer.alloc(0);
  private wake: () => void = () => undefined;
  /** True once the client is gone. */
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.input = Buffer.concat([this.input, chunk]);
      this.wake();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
      this.wake();
    });
  }

  /** Waits for the client's hello and answers it, with other values where given. */
  async greet(overrides: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    const hello = await this.message();
    this.send({ type: "hello", protocol: 1, ...fakeIdentity, pid: 7, ...overrides });
    return hello;
  }

  /** The next frame; throws once the client is gone. */
  async frame(): Promise<ReceivedFrame> {
    while (true) {
      const bytes = this.input.length >= frameHeaderBytes ? this.input.readUInt32LE(0) : undefined;
      if (bytes !== undefined && this.input.length >= frameHeaderBytes + bytes) {
        const kind = this.input.readUInt8(4);
        const payload = this.input.subarray(frameHeaderBytes, frameHeaderBytes + bytes);
        this.input = this.input.subarray(frameHeaderBytes + bytes);
        return { kind, payload };
      }
      if (this.closed) throw new Error("the client is gone");
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** The next frame, which has to be a JSON message. */
  async message(): Promise<Record<string, unknown> & { readonly seq: number }> {
    const { kind, payload } = await this.frame();
    if (kind !== frameMessage) throw new Error(`frame of kind ${kind} instead of a message`);
    return JSON.parse(payload.toString()) as Record<string, unknown> & { readonly seq: number };
  }

  /** Waits until the client is gone. */
  async gone(): Promise<void> {
    while (!this.closed) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  send(message: object): void {
    this.sendFrame(frameMessage, JSON.stringify(message));
  }

  sendFrame(kind: number, payload: string | Buffer): void {
    this.sendRaw(frameOf(kind, payload));
  }

  sendRaw(bytes: Buffer): void {
    this.socket.write(bytes);
  }

  /** Bytes that the client has not taken yet. */
  get backlog(): number {
    return this.socket.writableLength;
  }

  end(): void {
    this.socket.end();
  }

  cut(): void {
    this.socket.destroy();
  }
}

/** A frame as it goes over the wire. */
export function frameOf(kind: number, payload: string | Buffer): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload) : payload;
  const header = Buffer.alloc(frameHeaderBytes);
  header.writeUInt32LE(body.length, 0);
  header.writeUInt8(kind, 4);
  return Buffer.concat([header, body]);
}

/** What the fake does with each connection, the first being 0. */
export type FakeScript = (peer: FakePeer, index: number) => Promise<void>;

/** A server on a unix socket that does what a script says. */
export class FakeShim implements AsyncDisposable {
  readonly path: string;
  private readonly folder: string;
  private readonly servers: readonly Server[];
  private readonly peers: FakePeer[];
  /** What scripts threw. */
  readonly failures: unknown[] = [];

  private constructor(folder: string, path: string, servers: readonly Server[], peers: FakePeer[]) {
    this.folder = folder;
    this.path = path;
    this.servers = servers;
    this.peers = peers;
  }

  /** Listens at `name` in a folder of its own, and where a shim takes added processes. */
  static async start(script: FakeScript, name = "shim.sock"): Promise<FakeShim> {
    const folder = await mkdtemp(join(tmpdir(), "berth-fake-"));
    const servers = [createServer(), createServer()] as const;
    const peers: FakePeer[] = [];
    const fake = new FakeShim(folder, join(folder, name), servers, peers);
    for (const [index, server] of servers.entries()) {
      server.on("connection", (socket) => {
        const peer = new FakePeer(socket);
        script(peer, peers.push(peer) - 1).catch((thrown: unknown) => fake.failures.push(thrown));
      });
      const path = index === 0 ? fake.path : fake.path + execSocketSuffix;
      await new Promise<void>((resolve) => server.listen(path, resolve));
    }
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) peer.cut();
    for (const server of this.servers) await new Promise((resolve) => server.close(resolve));
    await rm(this.folder, { recursive: true });
  }
}
