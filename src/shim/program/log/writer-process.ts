import { EPOLL, SOCK } from "../ffi/constants.ts";
import { E, type Failure, asFailure, errno } from "../ffi/error.ts";
import { close, setNonblocking } from "../ffi/files.ts";
import { C } from "../ffi/libc.ts";
import { type Doubles, copy, doubles } from "../ffi/memory.ts";
import { exit, fork } from "../ffi/processes.ts";
import { receiveWithFds, socketPair } from "../ffi/sockets.ts";
import type { Loop } from "../wire/loop.ts";
import { answerBytes, answerNumbers } from "./message.ts";
import { type LogState, runWriter } from "./writer.ts";

type Outcome = "some" | "none" | "dead";

/** What the shim does about the writer's answers. */
export interface WriterEvents {
  /** What the next writer is to know. */
  state(): LogState;
  /** True where the next answer may bring a reopened log. */
  expectsLog(): boolean;
  /** The oldest message was answered, as message.ts says; `log` is a reopened one. */
  onAnswer(answer: Doubles, log: number | undefined): void;
  /** All answers that there were have been given. */
  onDrained(): void;
  onDeath(): void;
}

/** The child that writes, and the socket to it. */
export class WriterProcess {
  /** -1 while there is none. */
  socket = -1;
  private readonly answer = doubles(answerNumbers);
  private readonly loop: Loop;
  private readonly events: WriterEvents;
  /** Made once: a container that says something once a minute has a new writer each time. */
  private readonly fork: (this: void) => void = () => {
    this.forkWriter();
  };
  private readonly onReady = (): void => {
    this.receive(this.socket);
  };

  constructor(loop: Loop, events: WriterEvents) {
    this.loop = loop;
    this.events = events;
  }

  get runs(): boolean {
    return this.socket >= 0;
  }

  /** Makes sure that there is one; the failure where no process could be had. */
  start(): Failure | undefined {
    if (this.runs) return undefined;
    const [ok, problem] = pcall(this.fork);
    return ok ? undefined : asFailure(problem);
  }

  /** Lets it go: it ends when it has written what it was given. */
  stop(): void {
    if (!this.runs) return;
    this.loop.remove(this.socket);
    close(this.socket);
    this.socket = -1;
  }

  private forkWriter(): void {
    const [ours, theirs] = socketPair(SOCK.SEQPACKET);
    const [ok, pid] = pcall(fork);
    if (!ok) {
      close(ours);
      close(theirs);
      throw pid;
    }
    if (pid === 0) {
      pcall(runWriter, theirs, this.events.state());
      exit(0);
    }
    close(theirs);
    setNonblocking(ours);
    this.socket = ours;
    this.loop.add(ours, EPOLL.IN, this.onReady);
  }

  private receive(socket: number): void {
    while (this.socket === socket) {
      const outcome = this.events.expectsLog() ? this.receiveLog() : this.receiveAnswer();
      if (outcome === "dead") {
        this.stop();
        this.events.onDeath();
        return;
      }
      if (outcome === "none") break;
    }
    this.events.onDrained();
  }

  /** The usual answer, taken without garbage. */
  private receiveAnswer(): Outcome {
    const got = C.read(this.socket, this.answer, answerBytes);
    if (got > 0) {
      this.events.onAnswer(this.answer, undefined);
      return "some";
    }
    return got < 0 && errno() === E.AGAIN ? "none" : "dead";
  }

  private receiveLog(): Outcome {
    const [ok, received] = pcall(receiveWithFds, this.socket, answerBytes);
    if (!ok || received?.text === "") return "dead";
    if (received === undefined) return "none";
    copy(this.answer, received.text, answerBytes);
    this.events.onAnswer(this.answer, received.fds[0]);
    return "some";
  }
}
