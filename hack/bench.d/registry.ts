/**
 * Serves the images of a folder to one runtime, by what a pull needs of the OCI distribution spec. A program of its own,
 * in the runtime's network but outside of its cgroups: `node registry.ts FOLDER`. Its parent sends `"count"` and is
 * answered with {@link Served} since the time before.
 */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { byteRange } from "./byte-range.ts";
import type { PullImage } from "./pull-images.ts";

/** What was asked for. */
export interface Served {
  readonly requests: number;
  /** Bytes of answers, by digest. */
  readonly bytes: Readonly<Record<string, number>>;
}

const chunkBytes = 1024 * 1024;

const [folder = "", host = ""] = process.argv.slice(2);
const images = JSON.parse(await readFile(join(folder, "images.json"), "utf8")) as PullImage[];
let served = { requests: 0, bytes: {} as Record<string, number> };

const server = createServer((request, response) => {
  served.requests += 1;
  answer(request, response).catch(() => {
    response.destroy();
  });
});
server.listen({ host: host.split(":")[0], port: Number(host.split(":")[1]) }, () => process.send?.("ready"));
process.on("message", () => {
  process.send?.(served satisfies Served);
  served = { requests: 0, bytes: {} };
});
process.once("disconnect", () => {
  process.exit();
});

async function answer(
  { method, url = "", headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(url, "http://registry").pathname;
  if (path === "/v2/") {
    response.end("{}");
    return;
  }
  const [, repository = "", kind = "", target = ""] =
    /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
  const image = images.find(({ reference }) => reference === `${host}/${repository}:${target}`);
  const digest = kind === "manifests" ? (image?.manifest ?? target) : target;
  const file = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
  const size = file === undefined ? undefined : (await stat(join(folder, file)).catch(() => undefined))?.size;
  if (file === undefined || size === undefined || (method !== "GET" && method !== "HEAD")) {
    response.writeHead(404, { "content-type": "application/json" });
    response.end(JSON.stringify({ errors: [{ code: "NOT_FOUND", message: `no ${path}` }] }));
    return;
  }
  const range = byteRange(headers.range, size);
  if (range === "unsatisfiable") {
    response.writeHead(416, { "content-range": `bytes */${size}` }).end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  response.writeHead(range === undefined ? 200 : 206, {
    "content-type":
      kind === "manifests" ? "application/vnd.oci.image.manifest.v1+json" : "application/octet-stream",
    "content-length": end - start + 1,
    "docker-content-digest": digest,
    ...(range && { "content-range": `bytes ${start}-${end}/${size}` }),
  });
  if (method === "HEAD") {
    response.end();
    return;
  }
  served.bytes[digest] = (served.bytes[digest] ?? 0) + end - start + 1;
  await pipeline(createReadStream(join(folder, file), { start, end, highWaterMark: chunkBytes }), response);
}
