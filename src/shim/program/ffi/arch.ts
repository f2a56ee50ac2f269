/** System call numbers that have no wrapper in glibc 2.36; those from 424 on are the same everywhere. */
export interface SyscallNumbers {
  readonly getcwd: number;
  readonly pivotRoot: number;
  readonly capget: number;
  readonly capset: number;
  readonly keyctl: number;
  readonly ioprioSet: number;
  readonly seccomp: number;
  readonly bpf: number;
  readonly schedSetattr: number;
}

const x64: SyscallNumbers = {
  getcwd: 79,
  pivotRoot: 155,
  capget: 125,
  capset: 126,
  keyctl: 250,
  ioprioSet: 251,
  seccomp: 317,
  bpf: 321,
  schedSetattr: 314,
};

const arm64: SyscallNumbers = {
  getcwd: 17,
  pivotRoot: 41,
  capget: 90,
  capset: 91,
  keyctl: 219,
  ioprioSet: 30,
  seccomp: 277,
  bpf: 280,
  schedSetattr: 274,
};

/** The numbers of the machine that this runs on (asm/unistd.h). */
export const nr: SyscallNumbers = (jit.arch as string) === "arm64" ? arm64 : x64;

/** Numbers that all architectures share (asm-generic/unistd.h). */
export const commonNr = {
  pidfdSendSignal: 424,
  openTree: 428,
  moveMount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  pidfdOpen: 434,
  clone3: 435,
  closeRange: 436,
  openat2: 437,
  mountSetattr: 442,
} as const;

/** O_DIRECTORY, O_NOFOLLOW and O_LARGEFILE are numbered per architecture (asm/fcntl.h). */
export const archOpenFlags =
  (jit.arch as string) === "arm64"
    ? { DIRECTORY: 0x4000, NOFOLLOW: 0x8000 }
    : { DIRECTORY: 0x10000, NOFOLLOW: 0x20000 };
