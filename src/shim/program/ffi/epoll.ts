import * as ffi from "ffi";
import { E, errno, sysError } from "./error.ts";
import type { Ints } from "./memory.ts";

ffi.cdef(`int epoll_wait_words(int epfd, uint32_t *events, int max, int timeout) __asm__("epoll_wait");`);

/** @noSelf */
interface Calls {
  epoll_wait_words(epfd: number, events: Ints, max: number, timeout: number): number;
}

const calls = ffi.C as Calls;

// struct epoll_event in 32-bit words: events, then the descriptor; packed on x86-64 alone (sys/epoll.h).
const isPacked = (jit.arch as string) !== "arm64";
const eventWords = isPacked ? 3 : 4;
const fdWord = isPacked ? 1 : 2;

/** What epoll_wait(2) brought. Read as words: a struct's element would be an object, and so garbage, for every event. */
export class ReadyList {
  private readonly words: Ints;
  private readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.words = ffi.new<Ints>("uint32_t[?]", capacity * eventWords);
  }

  /** epoll_wait(2); the number of descriptors, 0 also where a signal came. */
  wait(epoll: number, timeoutMs: number): number {
    const count = calls.epoll_wait_words(epoll, this.words, this.capacity, timeoutMs);
    if (count >= 0) return count;
    const number = errno();
    if (number !== E.INTR) throw sysError("epoll_wait", undefined, number);
    return 0;
  }

  fd(index: number): number {
    return this.words[index * eventWords + fdWord] as number;
  }

  events(index: number): number {
    return this.words[index * eventWords] as number;
  }
}
