import * as ffi from "ffi";
import type { Bytes, Struct } from "ffi";

ffi.cdef(`
  void *EVP_MD_CTX_new(void);
  const void *EVP_sha256(void);
  int EVP_DigestInit_ex(void *context, const void *type, void *engine);
  int EVP_DigestUpdate(void *context, const void *data, size_t count);
  void EVP_MD_CTX_free(void *context);
  int EVP_DigestFinal_ex(void *context, uint8_t *digest, unsigned *size);
`);

type Context = Struct<"EVP_MD_CTX*">;
/** @noSelf */
interface LibCrypto {
  readonly EVP_MD_CTX_new: () => Context;
  readonly EVP_sha256: () => Struct<"EVP_MD*">;
  readonly EVP_DigestInit_ex: (context: Context, type: Struct<"EVP_MD*">, engine: undefined) => number;
  readonly EVP_DigestUpdate: (context: Context, data: Bytes | string, count: number) => number;
  readonly EVP_MD_CTX_free: (context: Context) => void;
  readonly EVP_DigestFinal_ex: (context: Context, digest: Bytes, size: undefined) => number;
}

const crypto = ffi.load("libcrypto.so.3") as LibCrypto;

/** A running SHA-256 over the uncompressed stream: its end is the layer's diff id. @noSelf */
export interface Hash {
  readonly update: (data: Bytes | string, count: number) => void;
  /** `sha256:` and 64 hex digits; call once, nothing else after it. */
  readonly digest: () => string;
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
      crypto.EVP_MD_CTX_free(context);
      let hex = "sha256:";
      for (let index = 0; index < 32; index++) hex += string.format("%02x", raw[index]);
      return hex;
    },
  };
}
