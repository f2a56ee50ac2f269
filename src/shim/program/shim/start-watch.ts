import { EPOLL } from "../ffi/constants.ts";
import type { Failure } from "../ffi/error.ts";
import { asFailure } from "../ffi/error.ts";
import { close, readAllFd } from "../ffi/files.ts";
import { decode } from "../json.ts";
import type { Loop } from "../wire/loop.ts";

const maxStatusBytes = 16 * 1024;

/**
 * Waits for what init says of its execve: nothing when it succeeded, for execve closes the pipe; a failure otherwise.
 * Calls `settled` once.
 */
export class StartWatch {
  private readonly loop: Loop;
  private readonly fd: number;
  private readonly settled: (this: void, problem: Failure | undefined) => void;
  private open = true;

  constructor(loop: Loop, fd: number, settled: (this: void, problem: Failure | undefined) => void) {
    this.loop = loop;
    this.fd = fd;
    this.settled = settled;
    loop.add(fd, EPOLL.IN, () => {
      this.settle();
    });
  }

  /** Reads to the end, which is there or about to come: init has written, has become the command, or is dead. */
  settle(): void {
    if (!this.open) return;
    this.open = false;
    this.loop.remove(this.fd);
    const [ok, text] = pcall(readAllFd, this.fd, maxStatusBytes, "status of init");
    close(this.fd);
    this.settled(ok && text !== "" ? asFailure(decode(text, maxStatusBytes)) : undefined);
  }
}
