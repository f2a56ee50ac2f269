import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { unlink, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { flock, isErrno, LOCK_EX } from "../../sys/index.ts";

/** Whose an address is: a container's id and the interface. */
export interface Owner {
  readonly containerId: string;
  /** Empty in files of old versions of the reference plugin. */
  readonly ifname: string;
}

/**
 * The addresses given out in one network: a folder in the reference plugin's format, one file an address that holds
 * the owner, `last_reserved_ip.<range set>`, and `lock`, so that both can share it.
 */
export class ReservationFolder {
  readonly path: string;
  /** What is known of the files: their content never changes, so only new names are read. */
  readonly #owners = new Map<string, Owner>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(path: string) {
    this.path = path;
  }

  /** Runs `work` while nobody else, in this process or another, changes the folder. Makes the folder if need be. */
  locked<T>(signal: AbortSignal, work: (reservations: Reservations) => Promise<T>): Promise<T> {
    const result = this.#last.then(() => this.#underLock(signal, work));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #underLock<T>(signal: AbortSignal, work: (reservations: Reservations) => Promise<T>): Promise<T> {
    const lockPath = join(this.path, "lock");
    const fd = openLock(this.path, lockPath);
    try {
      await lock(fd, lockPath, signal);
      const reservations = new Reservations(this.path, this.#owners);
      await reservations.refresh();
      return await work(reservations);
    } finally {
      closeSync(fd);
    }
  }
}

async function lock(fd: number, path: string, signal: AbortSignal): Promise<void> {
  try {
    await flock(fd, LOCK_EX, path, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new RuntimeError("deadline-exceeded", `${path}: somebody else held the lock until the deadline`);
  }
}

function openLock(folder: string, lockPath: string): number {
  try {
    return openSync(lockPath, "a", 0o600);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    return openSync(lockPath, "a", 0o600);
  }
}

/**
 * The folder's content while its lock is held. Reads are of tiny files in the page cache and done at once; writes can
 * wait for a busy disk's journal and are left to libuv's pool.
 */
export class Reservations {
  readonly #path: string;
  readonly #owners: Map<string, Owner>;

  constructor(path: string, owners: Map<string, Owner>) {
    this.#path = path;
    this.#owners = owners;
  }

  /** Learns what others did since the lock was last held. */
  async refresh(): Promise<void> {
    const names = new Set(readdirSync(this.#path).filter((name) => isIP(name) !== 0));
    for (const known of this.#owners.keys()) if (!names.has(known)) this.#owners.delete(known);
    for (const name of names) if (!this.#owners.has(name)) await this.#read(name);
  }

  /** Reads every file again: what refresh takes for known may have been deleted and made anew by somebody else. */
  async reread(): Promise<void> {
    this.#owners.clear();
    await this.refresh();
  }

  /** Every address that is given out, with its owner. */
  entries(): ReadonlyMap<string, Owner> {
    return this.#owners;
  }

  /** The addresses of one container's interface. */
  ownedBy(owner: Owner): string[] {
    return [...this.#owners].filter(([, other]) => isSameOwner(other, owner)).map(([address]) => address);
  }

  /** Gives the address to the owner and remembers it as the range set's last; false where it is taken. */
  async reserve(address: string, owner: Owner, rangeSet: number): Promise<boolean> {
    if (this.#owners.has(address)) return false;
    const content = `${owner.containerId}\r\n${owner.ifname}`;
    this.#owners.set(address, owner);
    // Nobody else can have made the file: the lock is held, and what was there has just been read.
    await Promise.all([
      writeFile(join(this.#path, address), content, { flag: "wx", mode: 0o600 }),
      writeFile(this.#lastReservedPath(rangeSet), address, { mode: 0o600 }),
    ]);
    return true;
  }

  /** Takes the address back; one that is free already stays so. */
  async release(address: string): Promise<void> {
    await removeFile(join(this.#path, address));
    this.#owners.delete(address);
  }

  /** The address given out last from a range set; undefined where none was. */
  lastReserved(rangeSet: number): string | undefined {
    try {
      const text = readFileSync(this.#lastReservedPath(rangeSet), "utf8");
      return isIP(text.trim()) === 0 ? undefined : text.trim();
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  async #read(name: string): Promise<void> {
    const path = join(this.#path, name);
    const [containerId = "", ifname = ""] = readFileSync(path, "utf8").trim().split("\r\n");
    if (containerId !== "") {
      this.#owners.set(name, { containerId, ifname });
      return;
    }
    // Whoever made it died before it wrote the owner: it holds the lock while it does both.
    await removeFile(path);
  }

  #lastReservedPath(rangeSet: number): string {
    return join(this.#path, `last_reserved_ip.${rangeSet}`);
  }
}

function isSameOwner(a: Owner, b: Owner): boolean {
  return a.containerId === b.containerId && (a.ifname === b.ifname || a.ifname === "");
}

async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
  }
}
