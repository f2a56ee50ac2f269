import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { RuntimeError } from "../../core/errors.ts";

/** How a host is connected to; two that are equal share their connections. */
export interface Transport {
  /** Equal for equal transports. */
  readonly key: string;
  /** PEM texts of authorities that are trusted besides the machine's. */
  readonly ca: readonly string[];
  /** PEM texts of the client's certificates, shown where the server asks. */
  readonly client: readonly ClientPair[];
  readonly verification: "verified" | "skipped";
  /** Milliseconds; the client's own limit where absent. */
  readonly connectTimeoutMs?: number;
}

export interface ClientPair {
  readonly cert: string;
  readonly key: string;
}

/** Paths that a hosts file names. */
export interface TransportFiles {
  readonly ca: readonly string[];
  /** Without a key the certificate's file holds it too. */
  readonly client: readonly { readonly cert: string; readonly key?: string }[];
  readonly verification: "verified" | "skipped";
  readonly connectTimeoutMs?: number;
}

const maxPemBytes = 1024 * 1024;

/** TLS with the machine's authorities. */
export const plainTransport: Transport = makeTransport({ ca: [], client: [], verification: "verified" });

/** Reads the files; throws `failed-precondition` naming the one that cannot be used. */
export async function readTransport(files: TransportFiles): Promise<Transport> {
  const ca = await Promise.all(files.ca.map(readPem));
  const client = await Promise.all(
    files.client.map(async ({ cert, key }) => ({
      cert: await readPem(cert),
      key: await readPem(key ?? cert),
    })),
  );
  const { verification, connectTimeoutMs } = files;
  const transport = makeTransport({
    ca,
    client,
    verification,
    ...(connectTimeoutMs && { connectTimeoutMs }),
  });
  try {
    createSecureContext({ ca: [...ca], ...clientOptions(transport) });
  } catch (thrown) {
    const paths = [...files.ca, ...files.client.flatMap(({ cert, key }) => [cert, key ?? cert])];
    throw new RuntimeError(
      "failed-precondition",
      `cannot use the certificates ${[...new Set(paths)].join(", ")}: ${(thrown as Error).message}`,
    );
  }
  return transport;
}

/** The same without the client's certificates: for a host that a redirect leads to. */
export function withoutClient(transport: Transport): Transport {
  return transport.client.length === 0 ? transport : makeTransport({ ...transport, client: [] });
}

function makeTransport(parts: Omit<Transport, "key">): Transport {
  const { ca, client, verification, connectTimeoutMs } = parts;
  const text = JSON.stringify([ca, client, verification, connectTimeoutMs ?? 0]);
  return { ...parts, key: createHash("sha256").update(text).digest("hex") };
}

/** What node:tls is told for a transport. */
export function secureContextOf(transport: Transport, machineRoots: readonly string[]): SecureContext {
  const roots = [...machineRoots, ...transport.ca];
  // Without `ca` Node shares one store of its own roots.
  const ca = roots.length === 0 ? {} : { ca: [...getCACertificates("default"), ...roots] };
  return createSecureContext({ ...ca, ...clientOptions(transport) });
}

/** Authorities that the machine trusts and Node's own list lacks, such as a company's own; read once. */
export function machineRoots(): readonly string[] {
  const known = new Set(getCACertificates("default"));
  return getCACertificates("system").filter((root) => !known.has(root));
}

function clientOptions({ client }: Transport): { cert?: string[]; key?: string[] } {
  if (client.length === 0) return {};
  return { cert: client.map(({ cert }) => cert), key: client.map(({ key }) => key) };
}

async function readPem(path: string): Promise<string> {
  const refuse = (why: string): RuntimeError =>
    new RuntimeError("failed-precondition", `cannot read the certificate ${path}: ${why}`);
  try {
    const { size } = await stat(path);
    if (size > maxPemBytes) throw refuse(`larger than ${maxPemBytes} bytes`);
    const text = await readFile(path, "utf8");
    if (!text.includes("-----BEGIN ")) throw refuse("it is no PEM");
    return text;
  } catch (thrown) {
    if (thrown instanceof RuntimeError) throw thrown;
    throw refuse((thrown as NodeJS.ErrnoException).code ?? String(thrown));
  }
}
