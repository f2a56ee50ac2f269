import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import { isObject } from "./documents.ts";
import { bufferPassed } from "./young-buffers.ts";

/** Where a layer's bytes come from, compressed or not. */
export type LayerSource =
  | {
      readonly kind: "stream";
      open(signal: AbortSignal): AsyncIterable<Uint8Array>;
      /** Told of a failure: true where opening it again may bring other bytes. */
      isWorthAnother?(thrown: unknown): boolean;
    }
  | { readonly kind: "file"; readonly path: string };

/** What the confined unpacker found in a layer. */
export interface UnpackReport {
  readonly diffId: Digest;
  readonly usedBytes: number;
  readonly inodes: number;
  /** Extended attributes that were left out: of security modules, or not supported by the file system. */
  readonly skippedAttributes: number;
  /** Paths of folders that hide the lower layers'. */
  readonly opaque: readonly string[];
  /** Folders besides the root that no entry describes. */
  readonly implicitFolders: number;
  /** Of the finished tree, by which `berth fsck` knows it again: see digestTree. */
  readonly treeDigest: Digest;
}

/** How the unpacker is run. */
export interface UnpackerSettings {
  /** Path of the LuaJIT interpreter. */
  readonly luajit: string;
  /** Path of `berth-unpack.lua`. */
  readonly program: string;
  readonly maxLayerBytes: number;
}

/** Entries of one layer, extended headers included. */
const maxLayerEntries = 2_000_000;
/** Bytes of the report: it names at most 10,000 folders. */
const maxReportBytes = 64 * 1024 * 1024;
const maxStderrBytes = 4096;

/**
 * Unpacks a layer into an empty folder by a process of its own, which also inflates it and computes its diff id: two
 * layers use two cores, and hostile bytes meet zlib where there is nothing to gain. `what` begins the text of errors.
 */
export async function unpackLayer(
  settings: UnpackerSettings,
  folder: string,
  source: LayerSource,
  what: string,
  signal: AbortSignal,
): Promise<UnpackReport> {
  signal.throwIfAborted();
  const file = source.kind === "file" ? await open(source.path, "r") : undefined;
  const limits = [settings.maxLayerBytes, maxLayerEntries].map(String);
  const child = spawn(settings.luajit, [settings.program, "unpack", folder, ...limits], {
    stdio: [file?.fd ?? "pipe", "pipe", "pipe"],
    env: {},
    cwd: "/",
  });
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    const outcome = collectOutcome(child);
    // Awaited below in every case; this keeps a failure in between from being unhandled.
    outcome.catch(() => undefined);
    // Out of descriptors there is none, not even null; `outcome` has the error.
    if (source.kind === "stream" && child.stdin) {
      try {
        await feed(source.open(signal), child.stdin);
      } catch (thrown) {
        kill();
        await outcome.catch(() => undefined);
        throw thrown;
      }
    }
    const result = await outcome;
    signal.throwIfAborted();
    return readReport(result, what);
  } finally {
    signal.removeEventListener("abort", kill);
    await file?.close();
  }
}

/** Writes all of the input unless the process ends first: then its report says why. */
async function feed(input: AsyncIterable<Uint8Array>, stdin: Writable): Promise<void> {
  const state = { ended: false };
  const closed = new Promise<void>((resolve) => {
    stdin.once("close", resolve);
    stdin.once("error", () => {
      resolve();
    });
  }).then(() => {
    state.ended = true;
  });
  for await (const chunk of input) {
    if (state.ended) return;
    bufferPassed(chunk.length);
    if (!stdin.write(chunk)) await Promise.race([once(stdin, "drain").catch(() => undefined), closed]);
  }
  stdin.end();
}

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly ending: string;
}

function collectOutcome(child: ChildProcess): Promise<Outcome> {
  const stdout = collect(child.stdout, maxReportBytes);
  const stderr = collect(child.stderr, maxStderrBytes);
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
      reject(
        new RuntimeError(
          missing ? "failed-precondition" : "internal",
          `cannot run the unpacker ${child.spawnfile}: ${missing ? "no such program" : error.message}`,
          { cause: error },
        ),
      );
    });
    child.once("close", (code, signal) => {
      resolve({ stdout: stdout(), stderr: stderr(), ending: signal ?? `exit ${String(code)}` });
    });
  });
}

function collect(stream: NodeJS.ReadableStream | null, maxBytes: number): () => string {
  const chunks: Buffer[] = [];
  let total = 0;
  stream?.on("data", (chunk: Buffer) => {
    if (total < maxBytes) chunks.push(chunk);
    total += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

/** ENOSPC and EDQUOT, as the confined program reports them. */
export const diskFullErrnos: ReadonlySet<number> = new Set([28, 122]);

function readReport({ stdout, stderr, ending }: Outcome, what: string): UnpackReport {
  const report = parseReport(stdout);
  if (report === undefined) {
    throw new RuntimeError(
      "internal",
      `${what}: the unpacker ended with ${ending} and no report: ${stderr.trim()}`,
    );
  }
  if (report["ok"] !== true) {
    const message = `${what}: ${String(report["message"])}`;
    const full = diskFullErrnos.has(Number(report["errno"]));
    if (full || report["kind"] === "limit") throw new RuntimeError("resource-exhausted", message);
    throw new RuntimeError(report["kind"] === "format" ? "failed-precondition" : "internal", message);
  }
  return {
    diffId: parseDigest(String(report["diffId"])),
    usedBytes: Number(report["usedBytes"]),
    inodes: Number(report["inodes"]),
    skippedAttributes: Number(report["skippedAttributes"]),
    opaque: report["opaque"] as string[],
    implicitFolders: Number(report["implicitFolders"]),
    treeDigest: parseDigest(String(report["treeDigest"])),
  };
}

function parseReport(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const report: unknown = JSON.parse(text);
    return isObject(report) ? report : undefined;
  } catch {
    return undefined;
  }
}
