import { RuntimeError } from "../../core/errors.ts";
import type { KeptBlob } from "../blobs.ts";
import { aborted } from "./failure.ts";
import { openBlobReader, type BlobReader } from "./blob-reader.ts";
import { discard, type Answer } from "./http.ts";
import type { HostRequest, HostSession } from "./host-session.ts";
import { AskedToWait, backoffMs, maxAttempts, pause } from "./retry.ts";

/** Broken transfers in a row, without progress between them, before an upload fails. */
const maxResumes = 3;
/** Larger pieces that a registry asks for are not sent. */
const maxChunkBytes = 1024 ** 3;

/** A blob to bring into a repository; `what` begins the text of errors. */
export interface UploadRequest {
  readonly session: HostSession;
  readonly blob: KeptBlob;
  readonly what: string;
  /** Blobs up to this size go in one piece, larger ones in pieces of it. */
  readonly chunkBytes: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (sentBytes: number) => void;
}

/** True where the repository has the blob; a registry that will not say so is one that has it not. */
export async function hasBlob({
  session,
  blob,
  what,
  signal,
}: Pick<UploadRequest, "session" | "what" | "signal"> & {
  readonly blob: Pick<KeptBlob, "digest">;
}): Promise<boolean> {
  try {
    const { answer } = await session.send(`blobs/${blob.digest}`, {
      what,
      method: "HEAD",
      attempts: maxAttempts,
      signal,
    });
    await drain(answer);
    return true;
  } catch (thrown) {
    if (signal.aborted) throw aborted(what, thrown);
    if (!(thrown instanceof RuntimeError) || thrown.code === "unavailable") throw thrown;
    return false;
  }
}

/**
 * Asks the registry to take a blob over from another of its repositories (distribution spec, mounting a blob); it may
 * refuse for any reason, and the blob is to be uploaded then.
 */
export async function mountBlob(
  request: Pick<UploadRequest, "session" | "what" | "signal">,
  digest: string,
  from: string,
): Promise<"mounted" | "refused"> {
  const { session, what, signal } = request;
  const query = new URLSearchParams({ mount: digest, from });
  try {
    const { answer, sender } = await session.send(`blobs/uploads/?${query.toString()}`, {
      ...common(request),
      method: "POST",
      headers: { "content-length": "0" },
    });
    await drain(answer);
    if (answer.statusCode === 201) return "mounted";
    // It began an upload instead: the caller asks for one when there is something to send.
    await cancel(session, locationOf(answer, sender, what), what);
    return "refused";
  } catch (thrown) {
    if (signal.aborted) throw aborted(what, thrown);
    if (!(thrown instanceof RuntimeError) || thrown.code === "unavailable") throw thrown;
    return "refused";
  }
}

/** Uploads a blob: small ones in one piece, others piece by piece, going on where a connection broke. */
export async function uploadBlob(request: UploadRequest): Promise<void> {
  const { blob, chunkBytes } = request;
  await using reader = openBlobReader(blob);
  // Not all registries take pieces.
  const isDone = blob.sizeBytes > chunkBytes && (await uploadChunks(request, reader));
  if (!isDone) await uploadWhole(request, reader);
}

/** In one piece (distribution spec, POST then PUT); a broken connection begins it anew. */
async function uploadWhole(request: UploadRequest, reader: BlobReader): Promise<void> {
  const { session, blob, what } = request;
  for (let failures = 1; ; failures++) {
    const { location } = await begin(request);
    try {
      const { answer } = await session.send(withDigest(location, blob.digest), {
        ...common(request),
        method: "PUT",
        headers: { "content-type": "application/octet-stream" },
        body: bodyOf(request, reader, 0, blob.sizeBytes),
        attempts: 1,
      });
      await drain(answer);
      return;
    } catch (thrown) {
      await cancel(session, location, what);
      await waitOrThrow(request, failures, thrown);
    }
  }
}

/** Piece by piece; false where the registry refuses the first one. */
async function uploadChunks(request: UploadRequest, reader: BlobReader): Promise<boolean> {
  const { session, blob, what } = request;
  const begun = await begin(request);
  const chunkBytes = Math.max(request.chunkBytes, Math.min(begun.minChunkBytes, maxChunkBytes));
  let { location } = begun;
  let sent = 0;
  let failures = 0;
  try {
    while (sent < blob.sizeBytes) {
      const size = Math.min(chunkBytes, blob.sizeBytes - sent);
      try {
        const reply = await session.send(location, {
          ...common(request),
          method: "PATCH",
          headers: {
            "content-type": "application/octet-stream",
            "content-range": `${sent}-${sent + size - 1}`,
          },
          body: bodyOf(request, reader, sent, size),
          attempts: 1,
        });
        await drain(reply.answer);
        location = locationOf(reply.answer, reply.sender, what);
        const before = sent;
        sent = receivedBytes(reply.answer) ?? sent + size;
        if (sent > before) failures = 0;
        else throw new RuntimeError("unavailable", `${what}: ${session.endpoint.host} keeps nothing of it`);
      } catch (thrown) {
        if (sent === 0 && isRefusal(thrown)) {
          await cancel(session, location, what);
          return false;
        }
        failures += 1;
        await waitOrThrow(request, failures, thrown);
        const resumed = await askProgress(request, location, sent);
        if (resumed.sent > sent) failures = 0;
        ({ sent, location } = resumed);
      }
    }
    const { answer } = await session.send(withDigest(location, blob.digest), {
      ...common(request),
      method: "PUT",
      // A body, if an empty one: a registry that hashes all of it now is given time.
      body: { sizeBytes: 0, open: nothing },
    });
    await drain(answer);
    return true;
  } catch (thrown) {
    await cancel(session, location, what);
    throw thrown;
  }
}

/** How much the registry has of an upload whose connection broke, and where it goes on. */
async function askProgress(
  request: UploadRequest,
  location: URL,
  sent: number,
): Promise<{ readonly sent: number; readonly location: URL }> {
  const { answer, sender } = await request.session.send(location, { ...common(request), method: "GET" });
  await drain(answer);
  const received = receivedBytes(answer) ?? sent;
  if (received > request.blob.sizeBytes) {
    const text = `${request.what}: ${sender.host} claims to have ${received} bytes of it`;
    throw new RuntimeError("failed-precondition", text);
  }
  const next = answer.headers["location"] === undefined ? location : locationOf(answer, sender, request.what);
  return { sent: received, location: next };
}

interface Begun {
  readonly location: URL;
  readonly minChunkBytes: number;
}

async function begin(request: UploadRequest): Promise<Begun> {
  const { session, what } = request;
  const { answer, sender } = await session.send("blobs/uploads/", {
    ...common(request),
    method: "POST",
    headers: { "content-length": "0" },
  });
  await drain(answer);
  const least = Number(answer.headers["oci-chunk-min-length"] ?? 0);
  return {
    location: locationOf(answer, sender, what),
    minChunkBytes: Number.isSafeInteger(least) && least > 0 ? least : 0,
  };
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  // Nothing is sent.
}

function common({
  what,
  signal,
}: Pick<UploadRequest, "what" | "signal">): Pick<HostRequest, "what" | "signal" | "attempts"> {
  return { what, signal, attempts: maxAttempts };
}

function bodyOf({ onProgress }: UploadRequest, reader: BlobReader, from: number, size: number) {
  return {
    sizeBytes: size,
    open: async function* () {
      let sent = from;
      for await (const chunk of reader.take(from, size)) {
        yield chunk;
        sent += chunk.length;
        onProgress?.(sent);
      }
    },
  };
}

/** Where an upload goes on: the registry names it, often relative to the URL that was asked. */
function locationOf({ headers, statusCode }: Answer, sender: URL, what: string): URL {
  const location = headers["location"];
  const url = typeof location === "string" ? URL.parse(location, sender) : null;
  if (url !== null) return url;
  const text = `${what}: ${sender.host} answered ${statusCode} without a place to upload to`;
  throw new RuntimeError("failed-precondition", text);
}

/** `Range: 0-<last byte>`; undefined where an answer does not say. An upload with nothing has `0-0` or none. */
function receivedBytes({ headers }: Answer): number | undefined {
  const last = /^(?:bytes=)?0-(\d+)$/.exec(String(headers["range"] ?? ""))?.[1];
  if (last === undefined) return undefined;
  return last === "0" ? 0 : Number(last) + 1;
}

function withDigest(location: URL, digest: string): URL {
  const url = new URL(location);
  url.searchParams.set("digest", digest);
  return url;
}

/** What is neither the connection's nor the caller's fault: the registry does not do it this way. */
function isRefusal(thrown: unknown): boolean {
  const codes = ["invalid-argument", "failed-precondition", "not-found"];
  return thrown instanceof RuntimeError && codes.includes(thrown.code);
}

/** Waits before another try of a transfer that broke, as long as the server asks for; what is no matter of the connection is final. */
async function waitOrThrow(
  { signal, what }: UploadRequest,
  failures: number,
  thrown: unknown,
): Promise<void> {
  if (signal.aborted) throw aborted(what, thrown);
  const mayPass = thrown instanceof RuntimeError && thrown.code === "unavailable";
  if (!mayPass || failures > maxResumes) throw thrown;
  const asked = thrown.cause instanceof AskedToWait ? thrown.cause.delayMs : undefined;
  if (asked === "never") throw thrown;
  try {
    await pause(asked ?? backoffMs(failures, Math.random()), signal);
  } catch (ended) {
    throw aborted(what, ended);
  }
}

/** Ends an upload that will not be finished; a registry that will not hear of it forgets by itself. */
async function cancel(session: HostSession, location: URL, what: string): Promise<void> {
  try {
    const signal = AbortSignal.timeout(cancelMs);
    const { answer } = await session.send(location, { what, method: "DELETE", attempts: 1, signal });
    discard(answer);
  } catch {
    // What matters is the error that led here.
  }
}

const cancelMs = 5_000;

/** Reads an answer without a body of interest, so that its connection can be used again. */
async function drain({ body }: Answer): Promise<void> {
  await body.dump({ limit: 64 * 1024 });
}
