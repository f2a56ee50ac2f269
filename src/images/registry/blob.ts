import { createHash } from "node:crypto";
import type { Digest } from "../../core/digest.ts";
import { hasCode, RuntimeError } from "../../core/errors.ts";
import type { Capability, Endpoint } from "./endpoint.ts";
import { aborted, reason, unreachable } from "./failure.ts";
import { discard, readSmall, type Answer } from "./http.ts";
import { DripError, paced } from "./pace.ts";
import { backoffMs, pause } from "./retry.ts";
import type { Reply, Session } from "./session.ts";

/** Broken connections in a row, without progress between them, before a download fails. */
const maxResumes = 3;
/** Bytes that count as progress, or this part of a small blob: a server that drips does not reset the count. */
const progressBytes = 1024 * 1024;
const progressPart = 1 / 16;

/** A blob to fetch; `what` begins the text of errors and names layer and image. */
export interface BlobRequest {
  readonly session: Session;
  readonly digest: Digest;
  readonly size: number;
  readonly what: string;
  readonly signal: AbortSignal;
  /** Told the count of bytes so far, and who sends. */
  readonly onProgress?: (receivedBytes: number, from: Endpoint) => void;
}

/**
 * Streams a blob: resumes by Range after a broken connection, on the next host where one breaks too often, and ends
 * without error only where size and digest are right. What comes out before that is unverified.
 */
export async function* readBlob(request: BlobRequest): AsyncGenerator<Buffer> {
  const { session, digest, size, what, signal } = request;
  const hash = createHash("sha256");
  let received = 0;
  let failures = 0;
  let progressAt = 0;
  let from: Endpoint | undefined;
  while (received < size || received === 0) {
    try {
      const { reply, body } = await openAt(request, received);
      from = reply.from;
      request.onProgress?.(received, from);
      for await (const chunk of body) {
        received += chunk.length;
        if (received > size) throw wrong(what, `the registry sends more than ${size} bytes`);
        hash.update(chunk);
        request.onProgress?.(received, from);
        yield chunk;
      }
      if (received === size) break;
      throw new Error(`the body ended after ${received} of ${size} bytes`);
    } catch (thrown) {
      if (thrown instanceof RuntimeError)
        throw failures === 0 ? thrown : truncated(request, received, thrown);
      if (signal.aborted) throw aborted(what, thrown);
      if (received - progressAt >= Math.min(progressBytes, size * progressPart)) failures = 0;
      progressAt = received;
      failures += 1;
      if (failures > maxResumes || thrown instanceof DripError) {
        const failure = broken(request, from?.host ?? session.registry, received, thrown);
        if (from === undefined || !session.leave(from, failure)) throw failure;
        failures = 0;
      } else {
        await pause(backoffMs(failures, Math.random()), signal);
      }
    }
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest) throw wrong(what, `the content has digest ${actual}`);
}

/** Reads a whole small blob, from another host where one sends the wrong bytes; the size is within the limit. */
export async function readSmallBlob(request: BlobRequest): Promise<Buffer> {
  for (;;) {
    const senders = new Set<Endpoint>();
    const onProgress = (_bytes: number, from: Endpoint): void => void senders.add(from);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of readBlob({ ...request, onProgress })) chunks.push(chunk);
      return Buffer.concat(chunks);
    } catch (thrown) {
      if (!leaveAll(request.session, senders, thrown)) throw thrown;
    }
  }
}

/**
 * After a download that came out wrong: leaves the hosts that sent bytes of it. True where another one may have it
 * right; false where none is left, or the failure has nothing to do with who sent it.
 */
export function leaveAll(session: Session, senders: Iterable<Endpoint>, why: unknown): boolean {
  if (!hasCode(why, "failed-precondition")) return false;
  let others = false;
  for (const sender of senders) others = session.leave(sender, why) || others;
  return others;
}

async function openAt(
  request: BlobRequest,
  offset: number,
): Promise<{ readonly reply: Reply; readonly body: AsyncIterable<Buffer> }> {
  const { session, digest, what, signal } = request;
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  const reply = await session.get(`blobs/${digest}`, {
    what,
    needs: "pull",
    // A compressed transfer would change the bytes that the digest is of.
    headers: { "accept-encoding": "identity", ...headers },
    signal,
  });
  return { reply, body: bodyFrom(reply, offset) };
}

async function* bodyFrom({ answer }: Reply, offset: number): AsyncGenerator<Buffer> {
  // A server that ignores the range sends all: what is here already is passed over.
  let skip = offset - firstByteOf(answer, offset);
  if (skip < 0) {
    discard(answer);
    throw new Error(`the server sends from byte ${offset - skip} when asked for byte ${offset}`);
  }
  for await (const chunk of paced(answer.body as AsyncIterable<Buffer>)) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
    } else {
      yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = 0;
    }
  }
}

/** Where the answer begins: 206 without a Content-Range that can be read is what was asked for (RFC 9110 14.4). */
function firstByteOf({ statusCode, headers }: Answer, offset: number): number {
  if (statusCode !== 206) return 0;
  const range = /^bytes (\d+)-/.exec(String(headers["content-range"] ?? ""))?.[1];
  return range === undefined ? offset : Number(range);
}

/** Fetches a manifest or an index by tag or digest: its bytes and the type it is served as. */
export async function readManifest(
  session: Session,
  target: string,
  options: {
    readonly what: string;
    readonly accept: string;
    readonly needs: Capability;
    readonly maxBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<ManifestBytes> {
  const { what, accept, needs, maxBytes, signal } = options;
  for (let failures = 1; ; failures++) {
    const { from, answer } = await session.get(`manifests/${target}`, {
      what,
      needs,
      headers: { accept },
      signal,
    });
    try {
      const type = answer.headers["content-type"];
      const bytes = await readSmall(answer, maxBytes, what);
      return { from, bytes, mediaType: typeof type === "string" ? type.split(";")[0]?.trim() : undefined };
    } catch (thrown) {
      if (signal.aborted) throw aborted(what, thrown);
      if (thrown instanceof RuntimeError && session.leave(from, thrown)) continue;
      if (thrown instanceof RuntimeError) throw thrown;
      if (failures > maxResumes || thrown instanceof DripError) {
        const failure = unreachable(what, from.host, thrown);
        if (!session.leave(from, failure)) throw failure;
        failures = 0;
      } else {
        await pause(backoffMs(failures, Math.random()), signal);
      }
    }
  }
}

/** A manifest or an index as it was sent. */
export interface ManifestBytes {
  readonly from: Endpoint;
  readonly bytes: Buffer;
  readonly mediaType: string | undefined;
}

function broken({ what, size }: BlobRequest, host: string, received: number, cause: unknown): RuntimeError {
  const stalled = (cause as { code?: string }).code === "UND_ERR_BODY_TIMEOUT";
  const how = stalled ? "stalled" : `broke (${reason(cause)})`;
  return unreachable(`${what}: the download ${how} at ${received} of ${size} bytes`, host, cause);
}

/** A registry that has no more of the blob refuses the range. */
function truncated({ what, size }: BlobRequest, received: number, cause: RuntimeError): RuntimeError {
  const text = `${what}: truncated at ${received} of ${size} bytes: ${cause.message}`;
  return new RuntimeError(cause.code, text, { cause });
}

function wrong(what: string, why: string): RuntimeError {
  return new RuntimeError("failed-precondition", `${what}: ${why}`);
}
