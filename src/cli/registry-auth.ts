import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { RuntimeError } from "../core/errors.ts";
import { openDockerConfig } from "../images/client.ts";
import type { OptionSpecs, OptionValues } from "./arguments.ts";

/** Options of the commands that speak with a registry; a password on the command line would show in the process list. */
export const authOptions = {
  username: { kind: "text", short: "u", placeholder: "NAME", doc: "Name to log in with at the registry." },
  "password-stdin": { kind: "flag", doc: "Read the password from the first line of standard input." },
  "docker-config": {
    kind: "text",
    placeholder: "FILE",
    doc: "Docker's config.json to take the registry's credentials from, helpers included.",
  },
} as const satisfies OptionSpecs;

/** Credentials as both contracts have them. */
export interface GivenAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identity_token?: string;
  readonly registry_token?: string;
  readonly server_address?: string;
}

/** What the options give for a registry; null where they give nothing and the daemon's own serve. */
export async function readAuth(
  options: OptionValues<typeof authOptions>,
  registryOf: () => string,
  stdin: NodeJS.ReadableStream,
): Promise<GivenAuth | null> {
  const { username, "password-stdin": passwordStdin, "docker-config": file } = options;
  if (file !== undefined) {
    if (username === undefined && !passwordStdin) return await fromDockerConfig(file, registryOf());
    throw new RuntimeError(
      "invalid-argument",
      "--docker-config takes the place of --username and --password-stdin",
    );
  }
  if (username === undefined && !passwordStdin) return null;
  if (username === undefined || !passwordStdin) {
    throw new RuntimeError("invalid-argument", "--username and --password-stdin belong together");
  }
  return { username, password: await firstLine(stdin) };
}

async function firstLine(stdin: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: stdin });
  try {
    for await (const line of lines) return line;
  } finally {
    lines.close();
  }
  throw new RuntimeError("invalid-argument", "--password-stdin: standard input is empty");
}

/** Read here and not by the daemon, so that the caller's own permissions count. */
async function fromDockerConfig(file: string, registry: string): Promise<GivenAuth> {
  const found = await openDockerConfig(resolve(file)).of(registry);
  switch (found.kind) {
    case "basic":
      return { username: found.username, password: found.password, server_address: registry };
    case "refresh-token":
      return { identity_token: found.token, server_address: registry };
    case "bearer":
      return { registry_token: found.token, server_address: registry };
    case "none":
      throw new RuntimeError("not-found", `${file} has no credentials for ${registry}`);
  }
}
