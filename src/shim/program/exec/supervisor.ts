import type { AnyRequest, ExecRequest } from "../../protocol/messages.ts";
import { frameStderr, frameStdin, frameStdinEof, frameStdout } from "../../protocol/frame.ts";
import { EPOLL, SIG } from "../ffi/constants.ts";
import { closeAllBut } from "../ffi/descriptors.ts";
import type { Failure } from "../ffi/error.ts";
import { failure } from "../ffi/error.ts";
import { duplicate } from "../ffi/files.ts";
import type { Waited } from "../ffi/processes.ts";
import { exit, kill, reap, setName } from "../ffi/processes.ts";
import { readSignal, signalFd } from "../ffi/signals.ts";
import { resizeTerminal } from "../init/terminal.ts";
import { InputWriter } from "../stdio/input.ts";
import { OutputReader, takeText } from "../stdio/output.ts";
import { Connection } from "../wire/connection.ts";
import type { Identity } from "../wire/greeting.ts";
import { frameReader, replyError, replyOk, unknownRequest } from "../wire/greeting.ts";
import { Loop } from "../wire/loop.ts";
import type { AddedProcess } from "./added-process.ts";
import { addProcess } from "./added-process.ts";
import { killDescendants } from "./descendants.ts";
import type { ExecTarget } from "./target.ts";
import { slotEnds } from "./target.ts";

/** How long a client may take until its request is complete. */
const requestTimeoutMs = 30_000;

/** Bytes that may wait for the client before the process's output is left where it is. */
const maxBacklogBytes = 256 * 1024;

/** How long the client may take to read the last of it. */
const farewellMs = 30_000;

const signalBase = 128;

/** Serves one connection of the exec socket in a child of the shim, to its end. */
export function serveExec(
  client: number,
  target: ExecTarget | undefined,
  refusal: Failure | undefined,
  identity: Identity,
): never {
  closeAllBut(target === undefined ? [client] : [client, target.pidfd]);
  setName("berth-execd");
  const loop = new Loop();
  const supervisor = new Supervisor(loop, target, refusal);
  const connection: Connection = new Connection(loop, client, {
    onFrame: frameReader(identity, () => connection, {
      onRequest: (request) => {
        supervisor.serve(connection, request);
      },
      onBytes: (kind, payload) => {
        supervisor.feed(connection, kind, payload);
      },
    }),
    onClose: () => {
      supervisor.abandoned();
    },
    onDrained: () => {
      supervisor.setPaused(false);
    },
  });
  loop.run();
  return exit(0);
}

/**
 * One added process: its stdio over the client's connection, its timeout, its end. A client that goes away takes the
 * process along, with all its descendants: nobody could read its output or learn how it ended.
 */
class Supervisor {
  private readonly loop: Loop;
  private readonly target: ExecTarget | undefined;
  private readonly refusal: Failure | undefined;
  private readonly readers: OutputReader[] = [];
  private input: InputWriter | undefined;
  private added: AddedProcess | undefined;
  private ended: Waited | undefined;
  private timedOut = false;
  private asked = false;
  private killed = false;

  constructor(loop: Loop, target: ExecTarget | undefined, refusal: Failure | undefined) {
    this.loop = loop;
    this.target = target;
    this.refusal = refusal;
    loop.after(requestTimeoutMs, () => {
      if (!this.asked) exit(0);
    });
  }

  serve(connection: Connection, request: AnyRequest): void {
    if (request.type === "resize") {
      this.resize(request.rows, request.cols);
      replyOk(connection, request.seq, {});
      return;
    }
    if (request.type !== "exec") unknownRequest(request.type);
    if (this.asked) throw failure("failed-precondition", "exec: this connection has its process already");
    this.asked = true;
    const [ok, thrown] = pcall(() => {
      this.begin(connection, request);
    });
    if (ok) return;
    this.killAll();
    replyError(connection, request.seq, thrown);
    connection.end();
  }

  feed(connection: Connection, kind: number, payload: string): void {
    if (kind === frameStdin) this.input?.write(payload, connection);
    if (kind === frameStdinEof && this.added?.master === undefined) this.input?.end();
  }

  setPaused(paused: boolean): void {
    for (const reader of this.readers) reader.setPaused(paused);
  }

  /** The client is gone, before or after the end. */
  abandoned(): void {
    if (this.added !== undefined && this.ended === undefined) this.killAll();
    this.leave();
  }

  private leave(): never {
    const end = this.killed ? "killed" : (this.target?.slot?.isEmpty() ?? true) ? "empty" : "left";
    return exit(slotEnds.indexOf(end));
  }

  private begin(connection: Connection, request: ExecRequest): void {
    if (this.target === undefined) throw this.refusal ?? failure("internal", "exec: no container");
    const signals = signalFd([SIG.CHLD]);
    const added = addProcess(request, this.target);
    this.added = added;
    replyOk(connection, request.seq, { pid: added.pid });
    this.carry(connection, added);
    this.loop.add(signals, EPOLL.IN, () => {
      readSignal(signals);
      this.reapChildren(connection, request);
    });
    if (request.timeoutMs > 0) {
      this.loop.after(request.timeoutMs, () => {
        if (this.ended !== undefined) return;
        this.timedOut = true;
        this.killAll();
      });
    }
  }

  private carry(connection: Connection, added: AddedProcess): void {
    if (added.master !== undefined) {
      this.input = new InputWriter(this.loop, duplicate(added.master));
      this.read(connection, added.master, frameStdout);
      return;
    }
    this.input = new InputWriter(this.loop, added.stdin ?? -1);
    if (added.stdout !== undefined) this.read(connection, added.stdout, frameStdout);
    if (added.stderr !== undefined) this.read(connection, added.stderr, frameStderr);
  }

  private read(connection: Connection, fd: number, kind: number): void {
    const take = takeText((text) => {
      connection.sendFrame(kind, text);
      if (connection.backlog > maxBacklogBytes) this.setPaused(true);
    });
    const reader = new OutputReader(this.loop, fd, take, () => {
      this.finishIfDone(connection);
    });
    this.readers.push(reader);
  }

  private resize(rows: number, cols: number): void {
    const master = this.added?.master;
    if (master === undefined || !this.readers.some((reader) => reader.isOpen)) {
      throw failure("failed-precondition", "resize: the process has no terminal");
    }
    resizeTerminal(master, rows, cols);
  }

  private reapChildren(connection: Connection, request: ExecRequest): void {
    for (let child = reap(-1); child !== undefined; child = reap(-1)) {
      if (child.pid !== this.added?.pid || this.ended !== undefined) continue;
      this.ended = child;
      this.loop.after(request.drainMs, () => {
        this.finish(connection);
      });
      this.finishIfDone(connection);
    }
  }

  /** Over when the process has ended and its output with it. */
  private finishIfDone(connection: Connection): void {
    if (this.ended !== undefined && this.readers.every((reader) => !reader.isOpen)) this.finish(connection);
  }

  private finish(connection: Connection): void {
    const { ended } = this;
    if (ended === undefined) return;
    for (const reader of this.readers) reader.close();
    this.input?.close();
    const { status, signal } = ended;
    const exitCode = signal === 0 ? status : signalBase + signal;
    connection.sendMessage({ event: "exec-exit", exitCode, signal, timedOut: this.timedOut });
    this.loop.after(farewellMs, () => this.leave());
    connection.end();
  }

  /** Everything that the process has begun, also what has left its process tree. */
  private killAll(): void {
    this.killed = true;
    if (this.target === undefined) return;
    if (this.target.slot !== undefined) this.target.slot.kill();
    else if (this.added !== undefined) killDescendants(this.added.pid, this.target.cgroup);
    if (this.added !== undefined) kill(this.added.pid, SIG.KILL);
  }
}
