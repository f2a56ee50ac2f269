import type { Duplex } from "node:stream";

/** The size of a terminal, in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly cols: number;
}

/** Which streams a client asked for. */
export interface StreamSelection {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** A command to run in a container. */
export interface ExecRequest extends StreamSelection {
  readonly containerId: string;
  readonly cmd: readonly string[];
  readonly tty: boolean;
}

/** A container to join. */
export interface AttachRequest extends StreamSelection {
  readonly containerId: string;
  readonly tty: boolean;
}

/** The ports of a pod to reach; only WebSocket clients name them here. */
export interface PortForwardRequest {
  readonly podId: string;
  readonly ports: readonly number[];
}

/** The client's side of an exec or an attach. */
export interface CommandIo {
  /** What the client types; ends when it half-closes or leaves. Absent where it has no standard input. One reader. */
  readonly stdin: AsyncIterable<Buffer> | undefined;
  /** Sends output; resolves when more may be sent, and also, with the bytes dropped, once the client is gone. */
  readonly stdout: (bytes: Buffer) => Promise<void>;
  /** As {@link CommandIo.stdout}. */
  readonly stderr: (bytes: Buffer) => Promise<void>;
  /** Names the one who is told the terminal's size: at once where it is known, then whenever it changes. */
  readonly onResize: (listener: (size: TerminalSize) => void) => void;
  /** Aborts when the client is gone: an exec's command must not outlive it. */
  readonly signal: AbortSignal;
}

/** What the streaming server reaches containers and pods through. Errors are RuntimeErrors; their text goes to the client. */
export interface StreamingBackend {
  /** Runs a command to its end; resolves after its last output was handed to `io`. */
  exec(request: ExecRequest, io: CommandIo): Promise<{ readonly exitCode: number }>;
  /** Joins a container's streams; resolves when the container has ended. */
  attach(request: AttachRequest, io: CommandIo): Promise<void>;
  /** Connects to a TCP port inside a pod; the result allows half-open connections. */
  portForward(podId: string, port: number, signal: AbortSignal): Promise<Duplex>;
}
