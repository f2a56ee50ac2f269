import { closeSync } from "node:fs";
import { AF_UNIX, SOCK_CLOEXEC, SOCK_DGRAM } from "./constants.ts";
import { sendto, sockaddrUn, socket } from "./socket.ts";

/**
 * Tells the service manager the daemon's state, such as `READY=1` or `STATUS=…`, one assignment a line.
 * `notifySocket` is the value of NOTIFY_SOCKET: a path, or a name after `@`. Throws SysError where nobody listens.
 *
 * @see https://man7.org/linux/man-pages/man3/sd_notify.3.html
 */
export function sdNotify(notifySocket: string, state: string): void {
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  try {
    sendto(fd, Buffer.from(state), 0, sockaddrUn(notifySocket));
  } finally {
    closeSync(fd);
  }
}
