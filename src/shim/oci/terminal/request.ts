import { failure } from "../../program/ffi/error.ts";
import { close } from "../../program/ffi/files.ts";
import { sendWithFds } from "../../program/ffi/sockets.ts";
import { connectUnix } from "../ffi/os.ts";

/** What is to become of a terminal's master. */
export interface TerminalRequest {
  /** A unix socket that it is sent to. */
  readonly socket?: string;
  /** Whether this command stays with the container, so that it can keep the master itself. */
  readonly stays: "yes" | "no";
}

/** Refuses a terminal that nobody would have the master of, and a socket that would never get one. */
export function checkTerminal({ socket, stays }: TerminalRequest, wanted: boolean): void {
  if (wanted && stays === "no" && socket === undefined) {
    throw failure(
      "invalid-argument",
      "cannot allocate tty if runc will detach without setting console socket",
    );
  }
  if (socket === undefined) return;
  if (!wanted) {
    throw failure("invalid-argument", "cannot use console socket if runc will not detach or allocate tty");
  }
  if (stays === "yes") {
    throw failure("invalid-argument", "cannot use console socket if runc will not detach or allocate tty");
  }
}

/** Sends the master to its socket; where there is none it is this command's, and given back. */
export function handOver({ socket }: TerminalRequest, master: number): number | undefined {
  if (socket === undefined) return master;
  const connection = connectUnix(socket);
  // Some text has to go along, and this is what others send: what the master is.
  sendWithFds(connection, "/dev/pts/ptmx", [master]);
  close(connection);
  close(master);
  return undefined;
}
