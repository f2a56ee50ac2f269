import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { buildTar, type RawEntry } from "./tar-builder.ts";

/** A request that the registry got. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** May answer a request itself: true where it did. */
export type Trick = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A registry that serves what a test put in, honestly unless a trick says otherwise. */
export interface TestRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly seen: SeenRequest[];
  trick: Trick;
  putBlob(bytes: Uint8Array): string;
  /** Serves bytes under a digest that may not be theirs. */
  putBlobAs(digest: string, bytes: Uint8Array): void;
  putManifest(repository: string, tag: string, bytes: Uint8Array, mediaType: string): string;
  /** What it has under a digest, pushed or put in. */
  blob(digest: string): Uint8Array | undefined;
  manifest(repository: string, tag: string): Uint8Array | undefined;
  /** Uploads that were begun and neither finished nor cancelled. */
  readonly uploads: ReadonlyMap<string, Uint8Array>;
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Listens on loopback, on a port of the kernel's choice; with TLS where told how. */
export async function startRegistry(tls?: ServerOptions): Promise<TestRegistry> {
  const blobs = new Map<string, Uint8Array>();
  const manifests = new Map<string, { bytes: Uint8Array; mediaType: string }>();
  const uploads = new Map<string, Uint8Array>();
  const seen: SeenRequest[] = [];
  const registry = { trick: (() => false) as Trick };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const url = request.url ?? "";
    const { authorization, range } = request.headers;
    seen.push({ method: request.method ?? "", url, authorization, range, headers: request.headers });
    if (registry.trick(request, response)) return;
    if (!["GET", "HEAD"].includes(request.method ?? "") || url.includes("/uploads/")) {
      void receive({ blobs, manifests, uploads }, request, response);
      return;
    }
    const [, repository, kind, name] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)(?:\?|$)/.exec(url) ?? [];
    const manifest = kind === "manifests" ? manifests.get(`${repository ?? ""}@${name ?? ""}`) : undefined;
    const blob = kind === "blobs" ? blobs.get(name ?? "") : undefined;
    if (manifest !== undefined) send(request, response, manifest.bytes, manifest.mediaType);
    else if (blob !== undefined) send(request, response, blob, "application/octet-stream");
    else
      response
        .writeHead(404)
        .end(JSON.stringify({ errors: [{ code: "NAME_UNKNOWN", message: "no such thing" }] }));
  };
  const server = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(registry, {
    host: `127.0.0.1:${port}`,
    seen,
    uploads,
    blob: (digest: string) => blobs.get(digest),
    manifest: (repository: string, tag: string) => manifests.get(`${repository}@${tag}`)?.bytes,
    putBlob: (bytes: Uint8Array) => {
      blobs.set(sha256(bytes), bytes);
      return sha256(bytes);
    },
    putBlobAs: (digest: string, bytes: Uint8Array) => void blobs.set(digest, bytes),
    putManifest: (repository: string, tag: string, bytes: Uint8Array, mediaType: string) => {
      manifests.set(`${repository}@${tag}`, { bytes, mediaType });
      manifests.set(`${repository}@${sha256(bytes)}`, { bytes, mediaType });
      return sha256(bytes);
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

interface Contents {
  readonly blobs: Map<string, Uint8Array>;
  readonly manifests: Map<string, { bytes: Uint8Array; mediaType: string }>;
  readonly uploads: Map<string, Uint8Array>;
}

/** Takes a push, as the distribution spec has it. */
async function receive(
  { blobs, manifests, uploads }: Contents,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? "", "http://registry");
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    return;
  }
  const body = Buffer.concat(chunks);
  const tag = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url.pathname);
  if (tag !== null) {
    const mediaType = request.headers["content-type"] ?? "";
    for (const name of [tag[2] ?? "", sha256(body)]) {
      manifests.set(`${tag[1] ?? ""}@${name}`, { bytes: body, mediaType });
    }
    response.writeHead(201, { "docker-content-digest": sha256(body) }).end();
    return;
  }
  const [, base = "", id = ""] = /^(\/v2\/.+\/blobs\/uploads\/)([^/]*)$/.exec(url.pathname) ?? [];
  if (request.method === "POST") {
    const mount = url.searchParams.get("mount");
    if (mount !== null && blobs.has(mount)) {
      response.writeHead(201, { location: url.pathname.replace("uploads/", mount) }).end();
      return;
    }
    const fresh = randomUUID();
    uploads.set(fresh, Buffer.alloc(0));
    response.writeHead(202, { location: `${base}${fresh}?state=1` }).end();
    return;
  }
  const before = uploads.get(id);
  if (before === undefined) {
    response.writeHead(404).end(JSON.stringify({ errors: [{ code: "BLOB_UPLOAD_UNKNOWN" }] }));
    return;
  }
  const bytes = Buffer.concat([before, body]);
  const headers = {
    location: `${base}${id}?state=${bytes.length}`,
    range: `0-${Math.max(0, bytes.length - 1)}`,
  };
  if (request.method === "GET") {
    response.writeHead(204, headers).end();
  } else if (request.method === "DELETE") {
    uploads.delete(id);
    response.writeHead(204).end();
  } else if (request.method === "PATCH") {
    const from = Number(/^(\d+)-\d+$/.exec(request.headers["content-range"] ?? "0-0")?.[1]);
    if (from !== before.length) {
      response.writeHead(416, headers).end();
      return;
    }
    uploads.set(id, bytes);
    response.writeHead(202, headers).end();
  } else if (sha256(bytes) === url.searchParams.get("digest")) {
    uploads.delete(id);
    blobs.set(sha256(bytes), bytes);
    response.writeHead(201, { location: base.replace("uploads/", sha256(bytes)) }).end();
  } else {
    response
      .writeHead(400)
      .end(JSON.stringify({ errors: [{ code: "DIGEST_INVALID", message: "not its digest" }] }));
  }
}

function send(request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, type: string): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? -1);
  if (from >= bytes.length) response.writeHead(416).end();
  else if (from >= 0) response.writeHead(206, { "content-type": type }).end(bytes.subarray(from));
  else response.writeHead(200, { "content-type": type, "content-length": bytes.length }).end(bytes);
}

/** A layer as pushed: its tar and what travels. */
export interface TestLayer {
  readonly tar: Buffer;
  readonly blob: Uint8Array;
  readonly mediaType: string;
}

export const ociTypes = {
  manifest: "application/vnd.oci.image.manifest.v1+json",
  index: "application/vnd.oci.image.index.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  plain: "application/vnd.oci.image.layer.v1.tar",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
};

/** A gzip layer of entries. */
export function gzipLayer(entries: readonly RawEntry[]): TestLayer {
  const tar = buildTar(entries);
  return { tar, blob: gzipSync(tar, { level: 1 }), mediaType: ociTypes.gzip };
}

/** Puts an image into a registry; `change` may spoil its manifest. */
export function putImage(
  registry: TestRegistry,
  repository: string,
  tag: string,
  layers: readonly TestLayer[],
  change: { readonly manifest?: object; readonly config?: object; readonly diffIds?: readonly string[] } = {},
): { readonly manifest: string; readonly config: string; readonly layers: readonly string[] } {
  const config = Buffer.from(
    JSON.stringify({
      os: "linux",
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      config: {
        Cmd: ["/bin/true"],
        Env: ["A=b"],
        User: "web",
        ExposedPorts: { "80/tcp": {} },
        Volumes: { "/data": {} },
      },
      rootfs: { type: "layers", diff_ids: change.diffIds ?? layers.map(({ tar }) => sha256(tar)) },
      ...change.config,
    }),
  );
  const digests = layers.map(({ blob }) => registry.putBlob(blob));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: ociTypes.manifest,
      config: { mediaType: ociTypes.config, digest: registry.putBlob(config), size: config.length },
      layers: layers.map(({ blob, mediaType }) => ({ mediaType, digest: sha256(blob), size: blob.length })),
      ...change.manifest,
    }),
  );
  const digest = registry.putManifest(repository, tag, manifest, ociTypes.manifest);
  return { manifest: digest, config: sha256(config), layers: digests };
}
