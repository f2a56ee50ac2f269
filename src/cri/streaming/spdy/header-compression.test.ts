import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, createDeflate, inflateSync } from "node:zlib";
import { hasCode } from "../../../core/errors.ts";
import { headerDictionary, headerDictionaryId } from "./dictionary.ts";
import { formatHeaderBlock, parseHeaderBlock } from "./header-block.ts";
import { HeaderDeflater, HeaderInflater } from "./header-compression.ts";

/** Compresses as clients do: one context, a sync flush after each block. */
class ClientDeflater {
  readonly #deflate = createDeflate({ dictionary: headerDictionary, flush: constants.Z_SYNC_FLUSH });

  async block(bytes: Buffer): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const collect = (piece: Buffer): void => void pieces.push(piece);
    this.#deflate.on("data", collect);
    await new Promise((resolve) => this.#deflate.write(bytes, resolve));
    this.#deflate.off("data", collect);
    return Buffer.concat(pieces);
  }
}

function adler32(bytes: Buffer): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}

test("spdy headers: the dictionary is the specification's", () => {
  assert.equal(headerDictionary.length, 1_423);
  assert.equal(adler32(headerDictionary), headerDictionaryId);
});

test("spdy headers: blocks of one connection share their window", async () => {
  const client = new ClientDeflater();
  const inflater = new HeaderInflater();
  const headers = new Map([
    ["streamtype", "stdout"],
    ["port", "8080"],
  ]);
  const sizes: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const block = await client.block(formatHeaderBlock(headers));
    sizes.push(block.length);
    assert.deepEqual(parseHeaderBlock(await inflater.inflate(block)), headers);
  }
  assert.ok((sizes[1] ?? 0) < (sizes[0] ?? 0));
  inflater.close();
});

test("spdy headers: zlib reads what the server writes", () => {
  const deflater = new HeaderDeflater();
  const empty = formatHeaderBlock(new Map());
  const named = formatHeaderBlock(new Map([["a", "b"]]));
  const stream = Buffer.concat([deflater.deflate(empty), deflater.deflate(named)]);
  const inflated = inflateSync(stream, { dictionary: headerDictionary, finishFlush: constants.Z_SYNC_FLUSH });
  assert.deepEqual(inflated, Buffer.concat([empty, named]));
});

test("spdy headers: a bomb and garbage are refused", async () => {
  const bomb = await new ClientDeflater().block(Buffer.alloc(10_000_000));
  assert.ok(bomb.length < 64 * 1024);
  for (const block of [bomb, Buffer.from("no zlib at all")]) {
    const inflater = new HeaderInflater();
    await assert.rejects(inflater.inflate(block), (thrown) => hasCode(thrown, "invalid-argument"));
    inflater.close();
  }
});

test("spdy headers: a closed inflater fails and does not hang", async () => {
  const inflater = new HeaderInflater();
  const pending = inflater.inflate(Buffer.from([0x78]));
  inflater.close();
  await pending.catch(() => undefined);
  await assert.rejects(inflater.inflate(Buffer.from([0x78])));
});

const malformed: readonly { readonly name: string; readonly block: Buffer }[] = [
  { name: "no count", block: Buffer.alloc(3) },
  { name: "too many", block: Buffer.from("ffffffff", "hex") },
  { name: "a name that is cut off", block: Buffer.from("00000001000000ff61", "hex") },
  { name: "no name", block: Buffer.from("000000010000000000000000", "hex") },
  {
    name: "a name twice",
    block: Buffer.from("00000002000000016100000001620000000161000000016200", "hex"),
  },
];

for (const { name, block } of malformed) {
  test(`spdy headers: refuses ${name}`, () => {
    assert.throws(
      () => parseHeaderBlock(block),
      (thrown) => hasCode(thrown, "invalid-argument"),
    );
  });
}
