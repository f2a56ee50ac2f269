import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { parseDigest, type Digest } from "../core/digest.ts";
import { RuntimeError } from "../core/errors.ts";
import type { IdMapping } from "../core/namespaces.ts";
import { parseJson } from "./documents.ts";
import { diskFullErrnos, type UnpackerSettings } from "./unpack.ts";

/** The maps of a user namespace. */
export interface Owners {
  readonly uids: readonly IdMapping[];
  readonly gids: readonly IdMapping[];
}

/** What to read, and in which form. */
export interface PackRequest {
  /**
   * `layer`: one folder in overlay's form becomes a layer with whiteouts; `merged`: the tree that a container sees;
   * `difference`: the topmost folder, once a copy of what the others show, becomes a layer of what is not so any more;
   * `completion`: see completeLayers.
   */
  readonly form: "layer" | "merged" | "difference" | "completion";
  /** Absolute, topmost first. */
  readonly folders: readonly string[];
  /** The user namespace in whose host ids the topmost folder's owners are kept; absent is as they are. */
  readonly owners?: Owners;
  /** Begins the text of errors. */
  readonly what: string;
}

/** Out of descriptors node leaves the streams out, whatever its types say; the error comes in the next tick. */
type WithoutStreams = Partial<Pick<ChildProcessByStdio<null, Readable, Readable>, "stdout" | "stderr">>;

type Program = Pick<UnpackerSettings, "luajit" | "program">;

const maxReportBytes = 16 * 1024;

/**
 * Streams a tree as a tar (ustar with pax headers, holes in GNU's sparse format 1.0), read by the confined program, so
 * that no event loop waits for a disk and no link of the tree leads out of it.
 */
export async function* packTree(
  { luajit, program }: Program,
  { form, folders, owners, what }: PackRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  signal.throwIfAborted();
  const maps = [owners?.uids ?? [], owners?.gids ?? []].map(encodeMap);
  const child = spawn(luajit, [program, "pack", form, ...maps, ...folders], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {},
    cwd: "/",
  });
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  closed.catch(() => undefined);
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const report = collect((child as WithoutStreams).stderr);
  try {
    const { stdout } = child as WithoutStreams;
    if (stdout !== undefined) yield* stdout as AsyncIterable<Buffer>;
    const [code, ended] = await closed;
    signal.throwIfAborted();
    requireOk(report(), ended ?? `exit ${code}`, what);
  } finally {
    signal.removeEventListener("abort", kill);
    // Whoever stopped reading leaves it nothing to write to.
    kill();
    await closed;
  }
}

function encodeMap(mappings: readonly IdMapping[]): string {
  return mappings.map(({ containerId, hostId, length }) => `${containerId}:${hostId}:${length}`).join(",");
}

/** `metadata`: what stat and readlink tell; `content`: attributes and the bytes of files as well. */
export type DigestDepth = "metadata" | "content";

/** A digest of a layer's tree, the same wherever and whenever the layer was unpacked. */
export async function digestTree(
  program: Program,
  folder: string,
  depth: DigestDepth,
  what: string,
  signal: AbortSignal,
): Promise<Digest> {
  const report = await runProgram(program, ["digest", depth, folder], what, signal);
  return parseDigest(String(report["digest"]));
}

/** What a copied tree takes. */
export interface CopyReport {
  readonly usedBytes: number;
  readonly inodes: number;
}

/**
 * Makes in an empty folder the tree that layers, topmost first, show as an overlay. Throws `resource-exhausted` where the
 * disk is full.
 */
export async function copyTree(
  program: Program,
  folder: string,
  layers: readonly string[],
  what: string,
  signal: AbortSignal,
): Promise<CopyReport> {
  const report = await runProgram(program, ["copy", folder, ...layers], what, signal);
  return { usedBytes: Number(report["usedBytes"]), inodes: Number(report["inodes"]) };
}

/** Runs the confined program to its end; what it reports. */
async function runProgram(
  { luajit, program }: Program,
  args: readonly string[],
  what: string,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  signal.throwIfAborted();
  const child = spawn(luajit, [program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {},
    cwd: "/",
    signal,
    killSignal: "SIGKILL",
  });
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>;
  const { stdout, stderr } = child as WithoutStreams;
  const output = collect(stdout);
  const words = collect(stderr);
  const [code, ended] = await closed;
  return requireOk(output() || words(), ended ?? `exit ${code}`, what);
}

function collect(stream: Readable | undefined): () => string {
  const chunks: Buffer[] = [];
  let total = 0;
  stream?.on("data", (chunk: Buffer) => {
    if (total < maxReportBytes) chunks.push(chunk);
    total += chunk.length;
  });
  return () => Buffer.concat(chunks).toString("utf8");
}

function requireOk(text: string, ending: string, what: string): Readonly<Record<string, unknown>> {
  let report: Readonly<Record<string, unknown>>;
  try {
    report = parseJson(text, what);
  } catch {
    throw new RuntimeError(
      "internal",
      `${what}: reading it ended with ${ending} and no report: ${text.trim()}`,
    );
  }
  if (report["ok"] === true) return report;
  const code = diskFullErrnos.has(Number(report["errno"]))
    ? "resource-exhausted"
    : report["kind"] === "format"
      ? "failed-precondition"
      : "internal";
  throw new RuntimeError(code, `${what}: ${String(report["message"])}`);
}
