/** Numbers that a seed alone decides (mulberry32): the same seed gives the same input on every machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 up to, and not, `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error("nothing to pick from");
    return found;
  }
}

/** Bytes that parsers trip over: bounds of numbers, ends of texts. */
const oddBytes = [0, 1, 0x0a, 0x20, 0x22, 0x2f, 0x5c, 0x7f, 0x80, 0xff] as const;

/** Longest input that is made, in bytes. */
const maxInputBytes = 64 * 1024;

type Change = (input: Buffer, random: Random, corpus: readonly Buffer[]) => Buffer;

const changes: readonly Change[] = [
  // A bit, a byte, a 32-bit number.
  (input, random) => edit(input, random, (copy, at) => (copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8)))),
  (input, random) => edit(input, random, (copy, at) => (copy[at] = random.pick(oddBytes))),
  (input, random) =>
    edit(input, random, (copy, at) => {
      if (at + 4 <= copy.length)
        copy.writeUInt32BE(random.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff]), at);
    }),
  // A piece left out, said twice, or taken from another input.
  (input, random) => {
    const [from, to] = piece(input, random);
    return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
  },
  (input, random) => {
    const [from, to] = piece(input, random);
    return Buffer.concat([input.subarray(0, to), input.subarray(from)]);
  },
  (input, random, corpus) => {
    const other = random.pick(corpus);
    const [from, to] = piece(other, random);
    const at = random.below(input.length + 1);
    return Buffer.concat([input.subarray(0, at), other.subarray(from, to), input.subarray(at)]);
  },
  (input, random) => input.subarray(0, random.below(input.length + 1)),
  (input, random) => {
    const at = random.below(input.length + 1);
    const many = Buffer.alloc(1 + random.below(2000), random.pick(oddBytes));
    return Buffer.concat([input.subarray(0, at), many, input.subarray(at)]);
  },
];

/** One input of the corpus with one to eight changes. */
export function mutate(random: Random, corpus: readonly Buffer[]): Buffer {
  let input = random.pick(corpus);
  for (let left = 1 + random.below(8); left > 0; left--) input = random.pick(changes)(input, random, corpus);
  return input.subarray(0, maxInputBytes);
}

/** What stands in the place of a value of a document. */
const oddValues: readonly unknown[] = [
  ...[null, true, 0, -1, 1e308, 2 ** 31, 2 ** 32, 2 ** 53, 0.5],
  ...["", "\0", "\n", "../../etc/passwd", "/", "sha256:", "x".repeat(5000), "999999999999999999999"],
  ...[[], {}, [[]], { __proto__: null, constructor: 1 }],
];

/** A document of the corpus with one to four values changed, left out or doubled. */
export function mutateJson(random: Random, corpus: readonly unknown[]): Buffer {
  let document = structuredClone(random.pick(corpus));
  for (let left = 1 + random.below(4); left > 0; left--) document = changeValue(document, random, corpus);
  return Buffer.from(JSON.stringify(document));
}

function changeValue(value: unknown, random: Random, corpus: readonly unknown[]): unknown {
  if (typeof value !== "object" || value === null || random.below(6) === 0) {
    return structuredClone(random.pick(random.below(8) === 0 ? corpus : oddValues));
  }
  const holder = value as Record<string, unknown>;
  const keys = Object.keys(holder);
  const key = keys.length === 0 ? "x" : random.pick(keys);
  const kind = random.below(10);
  if (kind === 0) Reflect.deleteProperty(holder, key);
  else if (kind === 1) holder[`${key}${random.pick(["", "x", "\0"])}`] = holder[random.pick([...keys, key])];
  else holder[key] = changeValue(holder[key], random, corpus);
  return holder;
}

function edit(input: Buffer, random: Random, change: (copy: Buffer, at: number) => void): Buffer {
  if (input.length === 0) return input;
  const copy = Buffer.from(input);
  change(copy, random.below(copy.length));
  return copy;
}

function piece(input: Buffer, random: Random): readonly [number, number] {
  const from = random.below(input.length + 1);
  return [from, Math.min(input.length, from + random.below(64))];
}
