/** The streaming server's limits; each carries its unit in its name. */

/** How long a token can be redeemed. */
export const tokenLifetimeMs = 60_000;

/** Tokens given out and neither redeemed nor expired; as many as other runtimes allow. */
export const maxOutstandingTokens = 1_000;

/** Bytes of one request's command with all arguments, as it waits for its client; the kernel takes one argument of as many. */
export const maxCommandBytes = 128 * 1024;

/** Connections at a time; one is an exec, an attach or a client's port-forward session. */
export const maxConnections = 2_048;

/** How long a client may take to open the streams that its request names. */
export const streamCreationTimeoutMs = 30_000;

/** A connection on which nothing moves for longer is closed. */
export const idleTimeoutMs = 4 * 60 * 60 * 1_000;

/** How long a connection that was finished waits for its client to close, before it is cut. */
export const lingerMs = 30_000;

/** How often a client that is not being read is asked for a sign of life. */
export const probeIntervalMs = 10_000;

/** Bytes of one stream that wait for their reader; beyond them nothing more is read from the client. */
export const maxHeldBytes = 1024 * 1024;

/** Bytes of one frame that the server sends, so that parallel streams take turns. */
export const maxSentPieceBytes = 64 * 1024;

/** Connections into pods that one port-forward session may hold open. */
export const maxForwardedConnections = 2_048;
