import * as ffi from "ffi";
import type { Bytes, Struct } from "ffi";

ffi.cdef(`
  void *EVP_MD_CTX_new(void);
  const void *EVP_sha256(void);
  int EVP_DigestInit_ex(void *context, const void *type, void *engine);
  int EVP_DigestUpdate(void *context, const void *data, size_t count);
  int EVP_DigestFinal_ex(void *context, uint8_t *digest, unsigned *size);
`);

type Context = Struct<"EVP_MD_CTX*">;
interface LibCrypto {
  EVP_MD_CTX_new(this: void): Context;
  EVP_sha256(this: void): Struct<"EVP_MD*">;
  EVP_DigestInit_ex(this: void, context: Context, type: Struct<"EVP_MD*">, engine: undefined): number;
  EVP_DigestUpdate(this: void, context: Context, data: Bytes, count: number): number;
  EVP_DigestFinal_ex(this: void, context: Context, digest: Bytes, size: undefined): number;
}

const crypto = ffi.load("libcrypto.so.3") as LibCrypto;

/** A running SHA-256 over the uncompressed stream: its end is the layer's diff id. */
export interface Hash {
  update(this: void, data: Bytes, count: number): void;
  /** `sha256:` and 64 hex digits; call once. */
  digest(this: void): string;
}

/** Starts a hash; libcrypto (Debian's libssl3) uses the processor's SHA instructions where it has them. */
export function startHash(): Hash {
  const context = crypto.EVP_MD_CTX_new();
  crypto.EVP_DigestInit_ex(context, crypto.EVP_sha256(), undefined);
  return {
    update: (data, count) => {
      crypto.EVP_DigestUpdate(context, data, count);
    },
    digest: () => {
      const raw = ffi.new("uint8_t[32]") as Bytes;
      crypto.EVP_DigestFinal_ex(context, raw, undefined);
      let hex = "sha256:";
      for (let index = 0; index < 32; index++) hex += string.format("%02x", raw[index]);
      return hex;
    },
  };
}
