import type { Duplex } from "node:stream";

/** A client's stream of one forwarded connection. */
export interface ForwardedStream {
  /** What the client sends; ends when it half-closes. */
  readonly incoming: AsyncIterable<Buffer>;
  /** Sends bytes; resolves when more may be sent. */
  readonly write: (bytes: Buffer) => Promise<void>;
  /** Says that the pod's side sends no more. */
  readonly end: () => void;
  /** Aborts when the client is gone or gave the stream up. */
  readonly signal: AbortSignal;
}

/** How a forwarded connection ended: both directions in order, or torn by the pod's side or the client. */
export type ForwardEnd = "closed" | "torn";

/** Carries bytes both ways; each direction ends by itself, as TCP's do. Resolves when both have ended. */
export async function forward(stream: ForwardedStream, connection: Duplex): Promise<ForwardEnd> {
  const { signal } = stream;
  const tear = (): void => {
    connection.destroy();
  };
  let end: ForwardEnd = "closed";
  connection.on("error", () => {
    end = "torn";
  });
  signal.addEventListener("abort", tear, { once: true });
  if (signal.aborted) tear();
  try {
    await Promise.all([toPod(stream, connection), fromPod(stream, connection)]);
  } finally {
    signal.removeEventListener("abort", tear);
    connection.destroy();
  }
  return signal.aborted ? "torn" : end;
}

async function toPod({ incoming }: ForwardedStream, connection: Duplex): Promise<void> {
  const closed = new Promise<void>((resolve) => connection.once("close", resolve));
  const send = async (): Promise<void> => {
    for await (const bytes of incoming) {
      if (connection.destroyed) return;
      if (!connection.write(bytes)) await writable(connection);
    }
    connection.end();
  };
  await Promise.race([send(), closed]);
}

async function fromPod(stream: ForwardedStream, connection: Duplex): Promise<void> {
  try {
    // The other direction goes on after the end of this one.
    for await (const bytes of connection.iterator({ destroyOnReturn: false }))
      await stream.write(bytes as Buffer);
    stream.end();
  } catch {
    // The error event has been noted; there is nothing more to read.
    connection.destroy();
  }
}

function writable(connection: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      connection.off("drain", done).off("close", done);
      resolve();
    };
    connection.on("drain", done).on("close", done);
  });
}
