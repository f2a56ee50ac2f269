import { createReadStream } from "node:fs";
import { RuntimeError } from "../core/errors.ts";
import type { ImportedImage__Output } from "../cri/types/berth/v1/ImportedImage.ts";
import type { NewImage } from "../cri/types/berth/v1/NewImage.ts";
import type { ImportImageRequest } from "../cri/types/berth/v1/ImportImageRequest.ts";
import type { Client } from "./client.ts";
import type { Context } from "./command.ts";
import { print } from "./print.ts";
import type { Terminal } from "./terminal.ts";

/** One message carries at most so much; the limit of the socket is 16 MiB. */
const maxPieceBytes = 1024 * 1024;

/** Sends a tar archive to the daemon; `name` is what to call its only image, empty keeps the archive's names. */
export async function sendArchive(
  client: Client,
  name: string,
  archive: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<readonly ImportedImage__Output[]> {
  const { images } = await client.importImage(
    pieces<ImportImageRequest>({ reference: name, data: Buffer.alloc(0) }, archive),
    signal,
  );
  return images;
}

/** Sends the tar of a root file system to the daemon, to become an image. */
export async function sendRootfs(
  client: Client,
  image: NewImage,
  archive: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<readonly ImportedImage__Output[]> {
  const { images } = await client.importRootfs(pieces({ image, data: Buffer.alloc(0) }, archive), signal);
  return images;
}

/** The file that holds an archive; - is standard input. */
export function openArchive(file: string, { stdin }: Terminal): AsyncIterable<unknown> {
  if (file !== "-") return createReadStream(file);
  if (stdin.isTTY) {
    throw new RuntimeError("invalid-argument", "standard input is a terminal, not an archive");
  }
  return stdin;
}

/** Prints names and ids of images that were imported. */
export function printImported(context: Context, images: readonly ImportedImage__Output[]): void {
  print(context, images, () =>
    images.map(({ id, references }) => [...references, id].join("   ")).join("\n"),
  );
}

async function* pieces<Piece extends { data?: Buffer | Uint8Array | string }>(
  first: Piece,
  archive: AsyncIterable<unknown>,
): AsyncGenerator<Piece | { data: Uint8Array }> {
  yield first;
  for await (const chunk of archive) {
    if (!(chunk instanceof Uint8Array)) throw new RuntimeError("internal", "an archive is read as bytes");
    for (let offset = 0; offset < chunk.length; offset += maxPieceBytes) {
      yield { data: chunk.subarray(offset, offset + maxPieceBytes) };
    }
  }
}
