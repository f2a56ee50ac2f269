/**
 * How bytes travel between the daemon, the launcher and the shims: every frame is a 4-byte little-endian payload
 * length, one byte of kind, and the payload. Plain numbers only: the same file is compiled for Node and for LuaJIT.
 */
export const frameHeaderBytes = 5;

/** The largest payload that either side accepts; a longer one ends the connection. */
export const maxFrameBytes = 1024 * 1024;

/** A JSON document: {@link ClientMessage} one way, {@link ShimMessage} the other. */
export const frameMessage = 0;
/** Bytes for the process's standard input. */
export const frameStdin = 1;
/** Bytes that the process wrote to standard output (or to its tty). */
export const frameStdout = 2;
/** Bytes that the process wrote to standard error. */
export const frameStderr = 3;
/** No more bytes for standard input (half-close); no payload. */
export const frameStdinEof = 4;
