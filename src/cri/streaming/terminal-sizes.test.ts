import assert from "node:assert/strict";
import { test } from "node:test";
import type { TerminalSize } from "./backend.ts";
import { decodeTerminalSizes } from "./terminal-sizes.ts";

const cases: readonly {
  readonly name: string;
  readonly input: readonly string[];
  readonly sizes: readonly (readonly [rows: number, cols: number])[];
}[] = [
  { name: "one", input: ['{"Width":80,"Height":24}\n'], sizes: [[24, 80]] },
  {
    name: "several, cut anywhere",
    input: ['{"Wid', 'th":80,"Height":2', '4}\n{"Width":1,"Height":2}'],
    sizes: [
      [24, 80],
      [2, 1],
    ],
  },
  { name: "names in lower case", input: ['{"width":80,"height":24}'], sizes: [[24, 80]] },
  {
    name: "ends at what is no size",
    input: ['{"Width":80,"Height":24}{"Width":-1,"Height":24}{"Width":1,"Height":1}'],
    sizes: [[24, 80]],
  },
  { name: "a number beyond a terminal's", input: ['{"Width":65536,"Height":24}'], sizes: [] },
  { name: "a fraction", input: ['{"Width":1.5,"Height":24}'], sizes: [] },
  { name: "no json", input: ["80x24}"], sizes: [] },
  { name: "an array", input: ["[1]}"], sizes: [] },
  { name: "without end", input: ["{".repeat(2_000), '"Width":80,"Height":24}'], sizes: [] },
];

for (const { name, input, sizes } of cases) {
  test(`terminal sizes: ${name}`, async () => {
    const found: TerminalSize[] = [];
    for await (const size of decodeTerminalSizes(pieces(input))) found.push(size);
    assert.deepEqual(
      found,
      sizes.map(([rows, cols]) => ({ rows, cols })),
    );
  });
}

// eslint-disable-next-line @typescript-eslint/require-await
async function* pieces(texts: readonly string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}
