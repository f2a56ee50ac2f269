import { MOUNT_ATTR, MS } from "../ffi/constants.ts";
import { failure } from "../ffi/error.ts";

/** A mount's options, sorted by who takes them. */
export interface MountOptions {
  bind: boolean;
  /** Bind all that is mounted below the source, too. */
  recursive: boolean;
  /** MOUNT_ATTR_* to set and to clear on the mount itself. */
  set: number;
  clear: number;
  /** The same for the mount and all below it (`rro`, `rnosuid`...). */
  recursiveSet: number;
  recursiveClear: number;
  /** MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0 where the spec says nothing. */
  propagation: number;
  propagationRecursive: boolean;
  idmap: "no" | "mount" | "recursive";
  /** What the place holds is copied into a tmpfs (`tmpcopyup`). */
  copyUp: boolean;
  /** What is for the file system: `key=value` or a word. */
  readonly data: string[];
}

type Change = readonly [set: number, clear: number];

const atime = MOUNT_ATTR.ATIME;

/** mount(8) words that change a mount's attributes; each also exists with an `r` in front, for the whole tree. */
export const attributes: Readonly<Record<string, Change>> = {
  ro: [MOUNT_ATTR.RDONLY, 0],
  rw: [0, MOUNT_ATTR.RDONLY],
  nosuid: [MOUNT_ATTR.NOSUID, 0],
  suid: [0, MOUNT_ATTR.NOSUID],
  nodev: [MOUNT_ATTR.NODEV, 0],
  dev: [0, MOUNT_ATTR.NODEV],
  noexec: [MOUNT_ATTR.NOEXEC, 0],
  exec: [0, MOUNT_ATTR.NOEXEC],
  nodiratime: [MOUNT_ATTR.NODIRATIME, 0],
  diratime: [0, MOUNT_ATTR.NODIRATIME],
  nosymfollow: [MOUNT_ATTR.NOSYMFOLLOW, 0],
  symfollow: [0, MOUNT_ATTR.NOSYMFOLLOW],
  noatime: [MOUNT_ATTR.NOATIME, atime],
  strictatime: [MOUNT_ATTR.STRICTATIME, atime],
  relatime: [MOUNT_ATTR.RELATIME, atime],
  // What these three negate is not there unless it was asked for: the kernel's own default is relatime.
  atime: [MOUNT_ATTR.RELATIME, atime],
  norelatime: [MOUNT_ATTR.STRICTATIME, atime],
  nostrictatime: [MOUNT_ATTR.RELATIME, atime],
};

/** Words for what passes between a mount and its copies. */
export const propagations: Readonly<Record<string, number>> = {
  private: MS.PRIVATE,
  slave: MS.SLAVE,
  shared: MS.SHARED,
  unbindable: MS.UNBINDABLE,
};

/** Words without an effect of their own: what they say is the default. */
export const silent: Readonly<Record<string, true>> = {
  defaults: true,
  async: true,
  nomand: true,
  loud: true,
  nolazytime: true,
};

const refused: Readonly<Record<string, true>> = {
  remount: true,
  mand: true,
  iversion: true,
  noiversion: true,
  acl: true,
  noacl: true,
};

/** Sorts the options of one mount; throws `invalid-argument` for one that is not supported. */
export function parseMountOptions(options: readonly string[], destination: string): MountOptions {
  const parsed: MountOptions = {
    bind: false,
    recursive: false,
    set: 0,
    clear: 0,
    recursiveSet: 0,
    recursiveClear: 0,
    propagation: 0,
    propagationRecursive: false,
    idmap: "no",
    copyUp: false,
    data: [],
  };
  for (const word of options) {
    if (refused[word] === true) {
      throw failure("invalid-argument", `mount ${destination}: option ${word}: not supported`);
    }
    if (!applyWord(parsed, word) && silent[word] !== true) parsed.data.push(word);
  }
  return parsed;
}

/** False where the word is none of ours. */
function applyWord(parsed: MountOptions, word: string): boolean {
  if (word === "bind" || word === "rbind") {
    parsed.bind = true;
    parsed.recursive = word === "rbind";
    return true;
  }
  if (word === "idmap" || word === "ridmap") {
    parsed.idmap = word === "idmap" ? "mount" : "recursive";
    return true;
  }
  if (word === "tmpcopyup") {
    parsed.copyUp = true;
    return true;
  }
  const own = attributes[word];
  if (own !== undefined) {
    [parsed.set, parsed.clear] = changed(parsed.set, parsed.clear, own);
    return true;
  }
  if (propagations[word] !== undefined) return setPropagation(parsed, propagations[word], false);
  if (string.sub(word, 1, 1) !== "r") return false;
  const rest = string.sub(word, 2);
  if (propagations[rest] !== undefined) return setPropagation(parsed, propagations[rest], true);
  const tree = attributes[rest];
  if (tree === undefined) return false;
  [parsed.recursiveSet, parsed.recursiveClear] = changed(parsed.recursiveSet, parsed.recursiveClear, tree);
  return true;
}

function setPropagation(parsed: MountOptions, propagation: number, recursive: boolean): boolean {
  parsed.propagation = propagation;
  parsed.propagationRecursive = recursive;
  return true;
}

/** The later word wins: what it sets is no longer cleared, and the other way round. */
function changed(set: number, clear: number, [add, drop]: Change): [number, number] {
  const wiped = add | drop;
  const timeClear = (drop & atime) === atime ? atime : 0;
  return [(set & ~wiped) | add, (clear & ~wiped) | (drop & ~add) | timeClear];
}
