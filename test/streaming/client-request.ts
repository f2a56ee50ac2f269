/** What the client program is to do. */
export interface ClientRequest {
  readonly over: "spdy" | "websocket";
  /** Besides error. */
  readonly streams: readonly string[];
  readonly input?: string;
  /** A message for the resize stream. */
  readonly size?: string;
  /** Be killed after so long. */
  readonly vanishAfterMs?: number;
  /** Forward connections instead of a command's streams. */
  readonly port?: number;
  readonly connections?: number;
}

/** What came on the streams. */
export interface ClientResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly error: string;
}
