import { EPOLL, SIG } from "../../program/ffi/constants.ts";
import { E, errno } from "../../program/ffi/error.ts";
import { close, duplicate, setBlocking } from "../../program/ffi/files.ts";
import { C } from "../../program/ffi/libc.ts";
import type { Pointer } from "../../program/ffi/memory.ts";
import type { Waited } from "../../program/ffi/processes.ts";
import { kill, reap } from "../../program/ffi/processes.ts";
import { blockSignals, readSignal, signalFd } from "../../program/ffi/signals.ts";
import { resizeTerminal } from "../../program/init/terminal.ts";
import { InputWriter } from "../../program/stdio/input.ts";
import { OutputReader, takeText } from "../../program/stdio/output.ts";
import { Loop } from "../../program/wire/loop.ts";
import { clearNewlineMapping, isTerminal, makeRaw, restoreTerminal, terminalSize } from "../ffi/os.ts";

const signalBase = 128;
const lastOrdinarySignal = 31;
const windowChanged = 28;
const urgent = 23;
/** Signals that say nothing to the container, or can't be caught. */
const kept: readonly number[] = [SIG.KILL, SIG.STOP, SIG.CHLD, SIG.PIPE, windowChanged, urgent];

/**
 * Stays with a process of the container, which is this process's child, to its end: passes signals on, carries its
 * terminal where `master` is one, and gives its exit status, or 128 and the signal. `begin` is called once signals wait.
 */
export function attendProcess(pid: number, master: number | undefined, begin: () => void): number {
  const passedOn = passedSignals();
  const watched = [...passedOn, SIG.CHLD, windowChanged];
  blockSignals([...watched, SIG.PIPE]);
  const signals = signalFd(watched);
  const terminal = master === undefined ? undefined : new TerminalProxy(master);
  const [ok, result] = pcall(() => {
    begin();
    return terminal === undefined ? waitPlainly(pid, signals) : terminal.serve(pid, signals);
  });
  terminal?.restore();
  close(signals);
  if (!ok) throw result as unknown;
  return result.signal === 0 ? result.status : signalBase + result.signal;
}

function passedSignals(): number[] {
  const signals: number[] = [];
  for (let signal = 1; signal <= lastOrdinarySignal; signal++) {
    if (!kept.includes(signal)) signals.push(signal);
  }
  return signals;
}

function waitPlainly(pid: number, signals: number): Waited {
  const loop = new Loop();
  let ended: Waited | undefined = reap(pid);
  if (ended !== undefined) return ended;
  loop.add(signals, EPOLL.IN, () => {
    const signal = readSignal(signals);
    ended = reap(pid);
    if (ended !== undefined) loop.stop();
    else if (signal !== undefined && signal !== SIG.CHLD && signal !== windowChanged) kill(pid, signal);
  });
  loop.run();
  return ended as unknown as Waited;
}

/** Carries bytes between this process's own terminal, or its pipes, and the container's. */
class TerminalProxy {
  private readonly master: number;
  private readonly loop = new Loop();
  private readonly before: Pointer | undefined;

  constructor(master: number) {
    this.master = master;
    clearNewlineMapping(master);
    this.before = isTerminal(0) ? makeRaw(0) : undefined;
    this.resize();
  }

  serve(pid: number, signals: number): Waited {
    const { loop, master } = this;
    let ended: Waited | undefined = reap(pid);
    let outputOpen = true;
    const settle = (): void => {
      if (ended !== undefined && !outputOpen) loop.stop();
    };
    const output = new OutputReader(
      loop,
      duplicate(master),
      takeText((text) => {
        writeOut(text);
      }),
      () => {
        outputOpen = false;
        settle();
      },
    );
    this.readInput();
    const look = (): void => {
      ended ??= reap(pid);
      if (ended === undefined) return;
      // What it has written is there already; a process that it left behind may hold the terminal open for good.
      if (outputOpen) output.drain();
      outputOpen = false;
      settle();
    };
    loop.add(signals, EPOLL.IN, () => {
      const signal = readSignal(signals);
      look();
      if (ended !== undefined || signal === undefined || signal === SIG.CHLD) return;
      if (signal === windowChanged) this.resize();
      else kill(pid, signal);
    });
    loop.after(0, look);
    loop.run();
    return ended as unknown as Waited;
  }

  /** Puts this process's own terminal back. */
  restore(): void {
    if (this.before !== undefined) restoreTerminal(0, this.before);
    // Others share what standard input is.
    pcall(setBlocking, 0);
  }

  private resize(): void {
    const size = terminalSize(0);
    if (size !== undefined) resizeTerminal(this.master, size.rows, size.cols);
  }

  private readInput(): void {
    const { loop, master } = this;
    const writer = new InputWriter(loop, duplicate(master));
    let reader: OutputReader | undefined;
    const source = {
      setReading: (reading: boolean): void => {
        reader?.setPaused(!reading);
      },
    };
    // A file can't be waited for, nor need it be: epoll refuses it.
    const [ok, made] = pcall(
      () =>
        new OutputReader(
          loop,
          duplicate(0),
          takeText((text) => {
            writer.write(text, source);
          }),
          () => undefined,
        ),
    );
    if (ok) reader = made;
  }
}

/** Standard output is shared with whoever started this, so it blocks. */
function writeOut(text: string): void {
  let rest = text;
  while (rest.length > 0) {
    const put = C.write(1, rest, rest.length);
    if (put > 0) rest = string.sub(rest, put + 1);
    else if (put < 0 && errno() !== E.INTR && errno() !== E.AGAIN) return;
  }
}
