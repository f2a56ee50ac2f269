/**
 * A registry as a program, to run inside a world. It prints its host, then serves `app:1`, whose layer stops half way
 * until a line comes on standard input, and `private/app:1`, which is for u with the password p alone.
 */
import { createCipheriv } from "node:crypto";
import { once } from "node:events";
import { gzipLayer, putImage, sha256, startRegistry } from "../images/registry.ts";

/** Bytes that do not compress, the same each time. */
function noise(size: number): Buffer {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16));
  return cipher.update(Buffer.alloc(size));
}

const layer = gzipLayer([{ name: "data", data: noise(50_000) }]);
const open = once(process.stdin, "data");

await using registry = await startRegistry();
putImage(registry, "app", "1", [layer]);
putImage(registry, "private/app", "1", [layer]);
registry.trick = (request, response) => {
  const url = request.url ?? "";
  const basic = `Basic ${Buffer.from("u:p").toString("base64")}`;
  if (url.startsWith("/v2/private/") && request.headers.authorization !== basic) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="r"' }).end();
    return true;
  }
  if (url !== `/v2/app/blobs/${sha256(layer.blob)}`) return false;
  response.writeHead(200, { "content-length": layer.blob.length });
  response.write(layer.blob.subarray(0, layer.blob.length / 2));
  void open.then(() => response.end(layer.blob.subarray(layer.blob.length / 2)));
  return true;
};
process.stdout.write(`${registry.host}\n`);
// Until the world ends.
await new Promise(() => undefined);
