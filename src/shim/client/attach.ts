import type { AttachRequest, ExitRecord } from "../protocol/messages.ts";
import { Channel } from "./channel.ts";
import type { Identity } from "./identity.ts";
import { type OutputHandlers, dispatchOutput } from "./output.ts";
import { StdioSession } from "./stdio-session.ts";
import type { Wait } from "./wait.ts";

/** Which of the container's streams to join. */
export type AttachStreams = Omit<AttachRequest, "type" | "seq">;

/** A connection that carries the container's stdio. */
export class AttachSession extends StdioSession {
  /** Resolves with the record when the container ends; rejects with `unavailable` when the connection is cut before. */
  readonly exit: Promise<ExitRecord>;

  private constructor(channel: Channel, exit: Promise<ExitRecord>) {
    super(channel);
    this.exit = exit;
  }

  /** Opens a connection to the shim and joins the streams. */
  static async begin(
    socket: string,
    identity: Identity,
    streams: AttachStreams,
    handlers: OutputHandlers,
    wait: Wait,
  ): Promise<AttachSession> {
    const exit = Promise.withResolvers<ExitRecord>();
    exit.promise.catch(() => undefined);
    const { channel } = await Channel.open(
      socket,
      identity,
      {
        onEvent: (event) => {
          if (event.event === "exit") exit.resolve(event.record);
        },
        onOutput: (kind, bytes) => dispatchOutput(handlers, kind, bytes),
      },
      wait,
    );
    void channel.closed.then((reason) => {
      exit.reject(reason);
    });
    try {
      await channel.request({ type: "attach", ...streams }, () => undefined, wait);
      return new AttachSession(channel, exit.promise);
    } catch (thrown) {
      channel.close();
      throw thrown;
    }
  }
}
