import { RuntimeError } from "../core/errors.ts";
import type { Image } from "../core/image.ts";
import { keepBlobsSetting, type BlobId } from "./blobs.ts";
import { maxDocumentBytes, type Descriptor } from "./documents.ts";
import { accept, readConfig, readDocument } from "./fetch-documents.ts";
import { parseReference } from "./reference.ts";
import { reachRepository, type Access, type RegistryContext } from "./registry/access.ts";
import { readBlob } from "./registry/blob.ts";
import type { RegistryAuth } from "./registry/credentials.ts";
import { openSession } from "./registry/session.ts";

const silent: Access = { note: () => undefined };

/** Fetches an image's manifest again by its digest, or its config where the manifest says how large that is. */
export async function fetchDocumentAgain(
  context: RegistryContext,
  image: Image,
  document: "manifest" | BlobId,
  signal: AbortSignal,
): Promise<Buffer> {
  const digest = document === "manifest" ? image.manifest : document.digest;
  const what = `document ${digest} of image ${image.tags[0] ?? image.id}`;
  let last = new RuntimeError("failed-precondition", `${what}: no registry is known that has it`);
  for (const repoDigest of image.repoDigests) {
    const session = openSession(await reachRepository(context, silent, parseReference(repoDigest)));
    try {
      if (document !== "manifest") return await readConfig(session, document, what, signal);
      const options = { what, accept, needs: "pull", maxBytes: maxDocumentBytes, signal } as const;
      return (await readDocument(session, digest, digest, options)).bytes;
    } catch (thrown) {
      if (!(thrown instanceof RuntimeError) || signal.aborted) throw thrown;
      last = thrown;
    }
  }
  throw last;
}

/**
 * Streams a layer that was here before from the repositories that its image came from, with the node's own credentials
 * unless `authFor` has others for a registry. Throws `failed-precondition` where the image came from no registry, else
 * what the last of them answered.
 */
export async function* fetchAgain(
  context: RegistryContext,
  image: Image,
  layer: Descriptor,
  signal: AbortSignal,
  authFor: (registry: string) => RegistryAuth | undefined = () => undefined,
): AsyncGenerator<Uint8Array> {
  const what = `layer ${layer.digest} of image ${image.tags[0] ?? image.id}`;
  let last = new RuntimeError(
    "failed-precondition",
    `${what}: its compressed form is not kept, and no registry is known that has it; with ` +
      `${keepBlobsSetting} = "all" it is kept from the next pull on`,
  );
  for (const repoDigest of [...image.repoDigests, ...(image.origins ?? [])]) {
    const origin = parseReference(repoDigest);
    const auth = authFor(origin.registry);
    const access = { ...silent, ...(auth && { auth }) };
    const session = openSession(await reachRepository(context, access, origin));
    let started = false;
    try {
      for await (const chunk of readBlob({ session, ...layer, what, signal })) {
        started = true;
        yield chunk;
      }
      return;
    } catch (thrown) {
      // What was handed out cannot be taken back: another repository would begin anew.
      if (started || !(thrown instanceof RuntimeError)) throw thrown;
      last = thrown;
    }
  }
  throw last;
}
