import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { RuntimeError } from "../core/errors.ts";
import type { OptionSpecs } from "./arguments.ts";
import type { ArchiveRequest } from "./client.ts";
import type { Context } from "./command.ts";
import { write } from "./terminal.ts";

/** Where a command's archive goes. */
export const outputOption = {
  output: { kind: "text", short: "o", placeholder: "FILE", doc: "Write to a file, not to standard output." },
} as const satisfies OptionSpecs;

/** Writes an archive to a file, which is there whole or not at all, or to standard output. */
export async function receiveArchive(
  { client, terminal, signal }: Context,
  request: ArchiveRequest,
  output: string | undefined,
): Promise<void> {
  if (output === undefined || output === "-") {
    if (terminal.stdout.isTTY) {
      throw new RuntimeError("invalid-argument", "standard output is a terminal: use --output or a pipe");
    }
    for await (const chunk of client.receive(request, signal)) await write(terminal.stdout, chunk, signal);
    return;
  }
  const temporary = `${output}.${randomBytes(4).toString("hex")}.part`;
  try {
    // An archive may hold what only root may read.
    await pipeline(
      client.receive(request, signal),
      createWriteStream(temporary, { flags: "wx", mode: 0o600 }),
    );
    await rename(temporary, output);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}
