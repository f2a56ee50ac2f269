import { createPublicKey, type KeyObject } from "node:crypto";
import { open } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parse as parseToml, TomlError } from "smol-toml";
import { RuntimeError } from "../../core/errors.ts";
import { isObject } from "../documents.ts";
import { isRegistryHost, nameOf, normaliseRegistry, type ImageRef } from "../reference.ts";

/** What is asked of an image. */
export type Rule =
  | { readonly kind: "accept" }
  | { readonly kind: "reject" }
  | {
      readonly kind: "signed";
      /** One of them must have signed. */
      readonly keys: readonly SigningKey[];
      /** The repository that the signature must name. */
      readonly signedAs: string;
      /** Whether bundles count, which name an image's digest and no repository. */
      readonly bundles: "count" | "ignored";
    };

/** A public key and the file that it is from. */
export interface SigningKey {
  readonly path: string;
  readonly key: KeyObject;
}

/** A rule and where the policy has it, for errors. */
export interface FoundRule {
  readonly rule: Rule;
  /** Such as `/etc/berth/signatures.toml, scope registry.example/team`. */
  readonly place: string;
}

/** Which images may be pulled. */
export interface SignaturePolicy {
  /** The rule of the longest scope that the image is in; throws `failed-precondition` for a policy that is wrong. */
  ruleFor(reference: ImageRef): Promise<FoundRule>;
}

const maxPolicyBytes = 1024 * 1024;
const maxKeyBytes = 64 * 1024;
const maxKeys = 32;
const minRsaBits = 2048;

const ruleKeys = new Set(["rule", "keys", "signed_as", "bundles"]);

type Table = Readonly<Record<string, unknown>>;
type Refuse = (why: string) => RuntimeError;

/**
 * The policy of a file, read anew for every pull; without a file every image is accepted. Whatever is not understood is
 * an error and no image is pulled: a slip of the pen must not open the node.
 */
export function openSignaturePolicy(path: string | undefined): SignaturePolicy {
  return {
    ruleFor: async (reference) => {
      if (path === undefined) return { rule: { kind: "accept" }, place: "no policy" };
      const refuse: Refuse = (why) =>
        new RuntimeError("failed-precondition", `signature policy ${path}: ${why}`);
      const policy = parsePolicy(await readSmallText(path, maxPolicyBytes, refuse), refuse);
      const name = nameOf(reference);
      const [scope = "", entry] =
        [...policy.scopes]
          .filter(([one]) => name === one || name.startsWith(`${one}/`))
          .sort(([a], [b]) => b.length - a.length)[0] ?? [];
      if (entry === undefined) return { rule: await load(policy.fallback, name), place: `${path}, default` };
      // What stands for the scope in the signature's name; the rest of the name stays.
      const signedAs = `${entry.signedAs ?? scope}${name.slice(scope.length)}`;
      return { rule: await load(entry, signedAs), place: `${path}, scope ${scope}` };
    },
  };

  async function load(entry: Entry, signedAs: string): Promise<Rule> {
    if (entry.kind !== "signed") return { kind: entry.kind };
    const keys = await Promise.all(entry.keys.map((key) => readKey(resolve(dirname(path ?? "/"), key))));
    return { kind: "signed", keys, signedAs, bundles: entry.bundles };
  }
}

/** A rule as it is written, its keys by path. */
interface Entry {
  readonly kind: Rule["kind"];
  readonly keys: readonly string[];
  readonly signedAs?: string;
  readonly bundles: "count" | "ignored";
}

interface Policy {
  readonly fallback: Entry;
  readonly scopes: ReadonlyMap<string, Entry>;
}

function parsePolicy(text: string, refuse: Refuse): Policy {
  let document: Table;
  try {
    document = parseToml(text);
  } catch (thrown) {
    const place = thrown instanceof TomlError ? `line ${thrown.line}: ` : "";
    throw refuse(`${place}${(thrown as Error).message.split("\n")[0] ?? ""}`);
  }
  for (const key of Object.keys(document)) {
    if (key !== "default" && key !== "scope") throw refuse(`unknown key ${key}`);
  }
  if (!isObject(document["default"])) throw refuse("it has no table [default]");
  const fallback = readEntry(document["default"], "default", refuse);
  if (fallback.signedAs !== undefined) throw refuse("default: signed_as belongs to a scope");
  const table = document["scope"] ?? {};
  if (!isObject(table)) throw refuse("scope: expected tables");
  const scopes = new Map<string, Entry>();
  for (const [written, value] of Object.entries(table)) {
    const scope = readScope(written, () =>
      refuse(`scope ${JSON.stringify(written)}: expected HOST or HOST/PATH`),
    );
    if (scopes.has(scope)) throw refuse(`scope ${scope} is there twice`);
    if (!isObject(value)) throw refuse(`scope ${scope}: expected a table`);
    scopes.set(scope, readEntry(value, `scope ${scope}`, refuse));
  }
  return { fallback, scopes };
}

function readEntry(table: Table, where: string, refuse: Refuse): Entry {
  for (const key of Object.keys(table)) {
    if (!ruleKeys.has(key)) throw refuse(`${where}: unknown key ${key}`);
  }
  const { rule, keys = [], signed_as: signedAs, bundles } = table;
  if (rule !== "accept" && rule !== "reject" && rule !== "signed") {
    throw refuse(
      `${where}: rule: expected accept, reject or signed, not ${rule === undefined ? "nothing" : JSON.stringify(rule)}`,
    );
  }
  const isList = Array.isArray(keys) && keys.every((key) => typeof key === "string" && key !== "");
  if (!isList || keys.length > maxKeys)
    throw refuse(`${where}: keys: expected a list of at most ${maxKeys} paths`);
  if (rule === "signed" && keys.length === 0)
    throw refuse(`${where}: keys: a signature needs a key to check it by`);
  if (rule !== "signed" && (keys.length > 0 || signedAs !== undefined || bundles !== undefined)) {
    throw refuse(`${where}: keys, signed_as and bundles belong to the rule signed`);
  }
  if (bundles !== undefined && typeof bundles !== "boolean")
    throw refuse(`${where}: bundles: expected true or false`);
  const entry: Entry = {
    kind: rule,
    keys: keys as string[],
    bundles: bundles === true ? "count" : "ignored",
  };
  if (signedAs === undefined) return entry;
  const wrong = (): RuntimeError => refuse(`${where}: signed_as: expected HOST or HOST/PATH`);
  return { ...entry, signedAs: readScope(signedAs, wrong) };
}

/** A registry, or a registry and whole parts of a repository's name, in the form that names of images are kept in. */
function readScope(written: unknown, wrong: () => RuntimeError): string {
  const [host = "", ...rest] = typeof written === "string" ? written.split("/") : [];
  const isFine = isRegistryHost(host) && rest.every((part) => /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*$/.test(part));
  if (!isFine) throw wrong();
  return [normaliseRegistry(host), ...rest].join("/");
}

/** A key that cosign signs with: ECDSA P-256, RSA or Ed25519, as PEM. */
async function readKey(path: string): Promise<SigningKey> {
  const refuse: Refuse = (why) => new RuntimeError("failed-precondition", `signature key ${path}: ${why}`);
  const text = await readSmallText(path, maxKeyBytes, refuse);
  // Node would take the public half of it; the other must not lie on a node.
  if (text.includes("PRIVATE KEY")) throw refuse("it is a private key");
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    throw refuse("it is no public key in PEM");
  }
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const isFine =
    (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") ||
    (key.asymmetricKeyType === "rsa" && modulusLength >= minRsaBits) ||
    key.asymmetricKeyType === "ed25519";
  if (!isFine) throw refuse(`expected ECDSA P-256, Ed25519, or RSA of at least ${minRsaBits} bits`);
  return { path, key };
}

async function readSmallText(path: string, maxBytes: number, refuse: Refuse): Promise<string> {
  try {
    await using file = await open(path, "r");
    const status = await file.stat();
    if (!status.isFile()) throw refuse("it is no file");
    if (status.size > maxBytes) throw refuse(`larger than ${maxBytes} bytes`);
    return await file.readFile("utf8");
  } catch (thrown) {
    if (thrown instanceof RuntimeError) throw thrown;
    throw refuse(`cannot be read: ${(thrown as NodeJS.ErrnoException).code ?? "unknown reason"}`);
  }
}
