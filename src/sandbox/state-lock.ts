import { mkdir, open } from "node:fs/promises";
import { RuntimeError } from "../core/errors.ts";
import { flock, LOCK_EX } from "../sys/index.ts";
import type { StatePaths } from "./paths.ts";

/** How long a daemon that is ending may hold the lock. */
const patienceMs = 1_000;

/**
 * Takes the folder of a boot's state for this daemon alone, until disposed of or until the process ends: two daemons
 * there would replace each other's launcher and sweep each other's pods. Throws `failed-precondition`.
 */
export async function lockState(paths: StatePaths): Promise<AsyncDisposable> {
  await mkdir(paths.root, { recursive: true, mode: 0o711 });
  const file = await open(`${paths.root}/lock`, "a", 0o600);
  try {
    await flock(file.fd, LOCK_EX, `${paths.root}/lock`, AbortSignal.timeout(patienceMs));
  } catch (cause) {
    await file.close();
    if (!(cause instanceof DOMException)) throw cause;
    throw new RuntimeError("failed-precondition", `${paths.root} is in use by another berthd`, { cause });
  }
  return { [Symbol.asyncDispose]: () => file.close() };
}
