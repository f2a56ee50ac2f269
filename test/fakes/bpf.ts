import assert from "node:assert/strict";

/** Runs a filter as the kernel does; the instructions are those that libseccomp and this project emit. */
export function verdict(
  bpf: Buffer,
  arch: number,
  number: number,
  args: readonly (number | bigint)[] = [],
): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number >>> 0, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt(value), 16 + 8 * index);
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    const code = bpf.readUInt16LE(at * 8);
    const k = bpf.readUInt32LE(at * 8 + 4);
    const branch = (isTrue: boolean): number => bpf.readUInt8(at * 8 + (isTrue ? 2 : 3));
    if (code === 0x20) accumulator = data.readUInt32LE(k);
    else if (code === 0x54) accumulator = (accumulator & k) >>> 0;
    else if (code === 0x15) at += branch(accumulator === k);
    else if (code === 0x25) at += branch(accumulator > k);
    else if (code === 0x35) at += branch(accumulator >= k);
    else if (code === 0x45) at += branch((accumulator & k) !== 0);
    else if (code === 0x05) at += k;
    else if (code === 0x06) return k;
    else assert.fail(`instruction ${at} has code ${code.toString(16)}`);
  }
}
