/**
 * How the daemon starts the launcher, once and detached: `luajit <bundle> launcher <folder> <build>`, environment
 * cleared but for PATH, working folder /, standard output and error on a log file. The program copies the interpreter
 * into a sealed memfd and goes on from there under the same process id. It listens on {@link launcherSocketName} in
 * `<folder>` (0700), bound under another name and renamed over, so that a launcher which no longer serves is replaced
 * without a gap. Plain values only: the same file is compiled for Node and for LuaJIT.
 */
export const launcherMode = "launcher";

/** The launcher's socket, in the folder it is given. */
export const launcherSocketName = "launcher.sock";

/**
 * A shim serves two sockets: the path it was given for control and attach, and the same path with this at its end for
 * added processes. Each connection to the second is served by a child of the shim, whose memory goes when it ends.
 */
export const execSocketSuffix = ".exec";
