import { createHash } from "node:crypto";
import type { Digest } from "../../core/digest.ts";
import { RuntimeError } from "../../core/errors.ts";
import { reason, unreachable } from "./failure.ts";
import { readSmall } from "./http.ts";
import { backoffMs, pause } from "./retry.ts";
import { aborted, type Session } from "./session.ts";

/** Broken connections in a row, without progress between them, before a download fails. */
const maxResumes = 3;
/** Bytes that count as progress: a server that drips does not reset the count. */
const progressBytes = 1024 * 1024;

/** A blob to fetch; `what` begins the text of errors and names layer and image. */
export interface BlobRequest {
  readonly session: Session;
  readonly digest: Digest;
  readonly size: number;
  readonly what: string;
  readonly signal: AbortSignal;
  /** Told the count of bytes so far. */
  readonly onProgress?: (receivedBytes: number) => void;
}

/**
 * Streams a blob: resumes by Range after a broken connection, and ends without error only where size and digest are
 * right. What comes out before that is unverified.
 */
export async function* readBlob(request: BlobRequest): AsyncGenerator<Buffer> {
  const { digest, size, what, signal } = request;
  const hash = createHash("sha256");
  let received = 0;
  let failures = 0;
  let progressAt = 0;
  while (received < size || received === 0) {
    try {
      for await (const chunk of openAt(request, received)) {
        received += chunk.length;
        if (received > size) throw wrong(what, `the registry sends more than ${size} bytes`);
        hash.update(chunk);
        request.onProgress?.(received);
        yield chunk;
      }
      if (received === size) break;
      throw new Error(`the body ended after ${received} of ${size} bytes`);
    } catch (thrown) {
      if (thrown instanceof RuntimeError)
        throw failures === 0 ? thrown : truncated(request, received, thrown);
      if (signal.aborted) throw aborted(what, thrown);
      if (received - progressAt >= progressBytes) failures = 0;
      progressAt = received;
      failures += 1;
      if (failures > maxResumes) throw broken(request, received, thrown);
      await pause(backoffMs(failures, Math.random()), signal);
    }
  }
  const actual = `sha256:${hash.digest("hex")}`;
  if (actual !== digest) throw wrong(what, `the content has digest ${actual}`);
}

/** Reads a whole small blob; the size is known to be within the limit. */
export async function readSmallBlob(request: BlobRequest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of readBlob(request)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* openAt(request: BlobRequest, offset: number): AsyncGenerator<Buffer> {
  const { session, digest, what, signal } = request;
  const headers = offset === 0 ? {} : { range: `bytes=${offset}-` };
  // A compressed transfer would change the bytes that the digest is of.
  const answer = await session.get(`blobs/${digest}`, {
    what,
    headers: { "accept-encoding": "identity", ...headers },
    signal,
  });
  // A server that ignores the range sends all: what is here already is passed over.
  let skip = answer.statusCode === 206 ? 0 : offset;
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
    } else {
      yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = 0;
    }
  }
}

/** Fetches a manifest or an index by tag or digest: its bytes and the type it is served as. */
export async function readManifest(
  session: Session,
  target: string,
  options: {
    readonly what: string;
    readonly accept: string;
    readonly maxBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly bytes: Buffer; readonly mediaType: string | undefined }> {
  const { what, accept, maxBytes, signal } = options;
  for (let failures = 1; ; failures++) {
    const answer = await session.get(`manifests/${target}`, { what, headers: { accept }, signal });
    try {
      const type = answer.headers["content-type"];
      const bytes = await readSmall(answer, maxBytes, what);
      return { bytes, mediaType: typeof type === "string" ? type.split(";")[0]?.trim() : undefined };
    } catch (thrown) {
      if (thrown instanceof RuntimeError) throw thrown;
      if (signal.aborted) throw aborted(what, thrown);
      if (failures > maxResumes) throw unreachable(what, session.host, thrown);
      await pause(backoffMs(failures, Math.random()), signal);
    }
  }
}

function broken({ what, session, size }: BlobRequest, received: number, cause: unknown): RuntimeError {
  const stalled = (cause as { code?: string }).code === "UND_ERR_BODY_TIMEOUT";
  const how = stalled ? "stalled" : `broke (${reason(cause)})`;
  return unreachable(`${what}: the download ${how} at ${received} of ${size} bytes`, session.host, cause);
}

/** A registry that has no more of the blob refuses the range. */
function truncated({ what, size }: BlobRequest, received: number, cause: RuntimeError): RuntimeError {
  const text = `${what}: truncated at ${received} of ${size} bytes: ${cause.message}`;
  return new RuntimeError(cause.code, text, { cause });
}

function wrong(what: string, why: string): RuntimeError {
  return new RuntimeError("failed-precondition", `${what}: ${why}`);
}
