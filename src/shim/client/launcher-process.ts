import { spawn } from "node:child_process";
import { open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeError } from "../../core/errors.ts";
import { launcherMode } from "../protocol/launch.ts";

/** A launcher's log larger than this is set aside before the next launcher starts. */
const maxLauncherLogBytes = 1024 * 1024;

/** How much of the log goes into the error about a launcher that did not come up. */
const maxLogTailBytes = 1000;

/** What is needed to start a launcher. */
export interface LauncherProgram {
  /** Path of the LuaJIT interpreter, such as `/usr/bin/luajit`. */
  readonly luajit: string;
  /** Path of the shim program's bundle. */
  readonly bundle: string;
}

/** A launcher that was started, and how it fails. */
export interface LauncherProcess {
  /** Rejects when the process ends; never resolves. */
  readonly failed: Promise<never>;
  /** Stops watching it: it goes on without this daemon. */
  release(): void;
}

/**
 * Starts a launcher that outlives this process: a session of its own, nothing of our environment but PATH, its output
 * in `launcher.log` in `folder`.
 */
export async function startLauncherProcess(
  program: LauncherProgram,
  folder: string,
  build: string,
): Promise<LauncherProcess> {
  const logPath = join(folder, "launcher.log");
  await setAsideLargeLog(logPath);
  const log = await open(logPath, "a", 0o600);
  try {
    const child = spawn(program.luajit, [program.bundle, launcherMode, folder, build], {
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      cwd: "/",
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
    });
    const failed = new Promise<never>((_resolve, reject) => {
      child.once("error", (thrown) => {
        reject(
          new RuntimeError("unavailable", `launcher ${program.luajit}: ${thrown.message}`, { cause: thrown }),
        );
      });
      child.once("exit", (code, signal) => {
        void tailOf(logPath)
          .catch(() => "its log cannot be read")
          .then((tail) => {
            reject(new RuntimeError("unavailable", `launcher ended with ${signal ?? code ?? "?"}: ${tail}`));
          });
      });
    });
    failed.catch(() => undefined);
    child.unref();
    return { failed, release: () => child.removeAllListeners("exit") };
  } finally {
    await log.close();
  }
}

async function setAsideLargeLog(path: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > maxLauncherLogBytes) await rename(path, `${path}.old`);
}

async function tailOf(path: string): Promise<string> {
  const log = await open(path, "r");
  try {
    const { size } = await log.stat();
    const { buffer, bytesRead } = await log.read({
      buffer: Buffer.alloc(maxLogTailBytes),
      position: Math.max(0, size - maxLogTailBytes),
    });
    return buffer.toString("utf8", 0, bytesRead).trim();
  } finally {
    await log.close();
  }
}
