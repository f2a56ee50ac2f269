import { open } from "node:fs/promises";
import { RuntimeError } from "../../core/errors.ts";
import { isObject } from "../documents.ts";
import { normaliseRegistry } from "../reference.ts";
import { askCredentialHelper } from "./credential-helper.ts";
import { readCredentials, serverHost, type Credentials, type StoredCredentials } from "./credentials.ts";

const maxConfigBytes = 1024 * 1024;
/** How docker login names Docker Hub, to its file and to helpers. */
const hubServer = "https://index.docker.io/v1/";
const none: Credentials = { kind: "none" };

type Table = Readonly<Record<string, unknown>>;

/**
 * The credentials of a Docker config.json, read whenever a host asks for some: by `credHelpers`, then `credsStore`,
 * then `auths`. A file that is absent has none. Throws `failed-precondition` naming the file, never what is in it.
 * @see https://docs.docker.com/reference/cli/docker/login/#credential-stores
 */
export function openDockerConfig(path: string | undefined): StoredCredentials {
  return {
    of: async (host) => {
      const config = path === undefined ? undefined : await readConfig(path);
      if (path === undefined || config === undefined) return none;
      const name = normaliseRegistry(host);
      const helper = helperFor(config, name);
      if (helper !== undefined) {
        const found = await askCredentialHelper(helper, name === "docker.io" ? hubServer : host);
        if (found !== undefined) return found;
      }
      return entryFor(config, name, path);
    },
  };
}

async function readConfig(path: string): Promise<Table | undefined> {
  const refuse = (why: string): RuntimeError => new RuntimeError("failed-precondition", `${path}: ${why}`);
  let text: string;
  try {
    await using file = await open(path, "r");
    if ((await file.stat()).size > maxConfigBytes) throw refuse(`larger than ${maxConfigBytes} bytes`);
    text = await file.readFile("utf8");
  } catch (thrown) {
    if (thrown instanceof RuntimeError) throw thrown;
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return undefined;
    throw refuse(`cannot be read: ${code ?? "unknown reason"}`);
  }
  try {
    const config: unknown = JSON.parse(text);
    if (isObject(config)) return config;
  } catch {
    // The parser's message quotes the file, and with it its secrets.
  }
  throw refuse("it is not a JSON object");
}

function helperFor(config: Table, name: string): string | undefined {
  const helpers = config["credHelpers"];
  const own = isObject(helpers) ? valueFor(helpers, name) : undefined;
  const helper = own ?? config["credsStore"];
  return typeof helper === "string" && helper !== "" ? helper : undefined;
}

function entryFor(config: Table, name: string, path: string): Credentials {
  const auths = config["auths"];
  const entry = isObject(auths) ? valueFor(auths, name) : undefined;
  if (!isObject(entry)) return none;
  const text = (key: string): string => (typeof entry[key] === "string" ? entry[key] : "");
  try {
    return readCredentials(
      {
        auth: text("auth"),
        username: text("username"),
        password: text("password"),
        identityToken: text("identitytoken"),
        registryToken: text("registrytoken"),
      },
      name,
    );
  } catch (thrown) {
    throw new RuntimeError("failed-precondition", `${path}: ${(thrown as Error).message}`);
  }
}

/** The exact name wins over one with a scheme or a path, such as `https://registry.example/v2/`. */
function valueFor(table: Table, name: string): unknown {
  if (Object.hasOwn(table, name)) return table[name];
  const key = Object.keys(table).find((one) => serverHost(one) === name);
  return key === undefined ? undefined : table[key];
}
