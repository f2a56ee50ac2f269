import { constants, createInflate, type Inflate } from "node:zlib";
import { RuntimeError } from "../../../core/errors.ts";
import { headerDictionary, headerDictionaryId } from "./dictionary.ts";

/** Bytes of one header block once inflated; a bomb ends its connection. */
const maxInflatedBytes = 64 * 1024;

/** Inflates the header blocks of one connection, which share one window: in order, none left out, one at a time. */
export class HeaderInflater {
  readonly #inflate: Inflate;
  #failure: Error | undefined;

  constructor() {
    // A client ends each block with a sync flush, so each write has all of its output.
    this.#inflate = createInflate({
      dictionary: headerDictionary,
      finishFlush: constants.Z_SYNC_FLUSH,
      flush: constants.Z_SYNC_FLUSH,
    });
    this.#inflate.on("error", (thrown) => {
      this.#failure = thrown;
    });
  }

  /** The block's bytes; throws `invalid-argument` where they are not zlib's or too many. */
  async inflate(block: Buffer): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let size = 0;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const collect = (piece: Buffer): void => {
      pieces.push(piece);
      size += piece.length;
      if (size > maxInflatedBytes)
        reject(malformed(`a header block inflates to more than ${maxInflatedBytes} bytes`));
    };
    const fail = (thrown: Error): void => {
      reject(malformed(`header block: ${thrown.message}`));
    };
    const closed = (): void => {
      fail(this.#failure ?? new Error("the connection is over"));
    };
    if (this.#inflate.destroyed) closed();
    this.#inflate.on("data", collect).on("error", fail).on("close", closed);
    try {
      this.#inflate.write(block, () => {
        resolve(undefined);
      });
      await promise;
      return Buffer.concat(pieces);
    } finally {
      this.#inflate.off("data", collect).off("error", fail).off("close", closed);
    }
  }

  /** Frees zlib's memory. */
  close(): void {
    this.#inflate.destroy();
  }
}

/** Zlib's header: deflate, a 32 KiB window, a preset dictionary; a multiple of 31 (RFC 1950 section 2.2). */
const zlibHeader = Buffer.from([0x78, 0x20]);

/** An empty stored block, with which a sync flush ends: readers hand on what came before it. */
const syncFlush = Buffer.from([0, 0, 0, 0xff, 0xff]);

/** The longest stored block of deflate (RFC 1951 section 3.2.4). */
const maxStoredBytes = 65_535;

/**
 * Writes header blocks as zlib's stored blocks. What the server sends is an empty block a stream: there is nothing to
 * compress, and no compressor's 256 KiB are held for each connection.
 */
export class HeaderDeflater {
  #begun = false;

  deflate(block: Buffer): Buffer {
    if (block.length > maxStoredBytes)
      throw new RuntimeError("internal", `header block of ${block.length} bytes is too long`);
    const stored = Buffer.alloc(5);
    stored.writeUInt16LE(block.length, 1);
    stored.writeUInt16LE(block.length ^ 0xffff, 3);
    const parts = [stored, block, syncFlush];
    if (!this.#begun) {
      const dictionaryId = Buffer.alloc(4);
      dictionaryId.writeUInt32BE(headerDictionaryId);
      parts.unshift(zlibHeader, dictionaryId);
      this.#begun = true;
    }
    return Buffer.concat(parts);
  }
}

function malformed(what: string): RuntimeError {
  return new RuntimeError("invalid-argument", `not spdy/3.1: ${what}`);
}
