import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { RuntimeError } from "../../core/errors.ts";

/** Who this daemon is, as every hello says: the shim program it brings along, and the boot it runs in. */
export interface Identity {
  /** SHA-256 of the program's bundle, lower-case hex. */
  readonly build: string;
  /** /proc/sys/kernel/random/boot_id (random(4)). */
  readonly boot: string;
}

/** Hashes the bundle and reads the boot id; `not-found` names a bundle that is not there. */
export async function readIdentity(bundle: string): Promise<Identity> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(bundle), hash);
  } catch (thrown) {
    throw new RuntimeError("not-found", `shim program ${bundle} cannot be read`, { cause: thrown });
  }
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
  return { build: hash.digest("hex"), boot: boot.trim() };
}
