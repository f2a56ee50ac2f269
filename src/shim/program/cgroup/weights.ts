/**
 * Weights of cgroup v1 in those of v2.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html#weights
 */

const minShares = 2;
const maxShares = 262_144;
const minWeight = 1;
const maxWeight = 10_000;

/**
 * `cpu.weight` (1 to 10000, 100 by default) for `cpu.shares` (2 to 262144, 1024 by default): the curve through the
 * three pairs (2, 1), (1024, 100), (262144, 10000) that runc and crun went over to in 2025, since the straight line
 * between the ends gave the default share of 1024 a weight of 39.
 */
export function cpuWeightOfShares(shares: number): number {
  if (shares <= minShares) return minWeight;
  if (shares >= maxShares) return maxWeight;
  const power = binaryLogarithm(shares);
  return Math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34));
}

/** Exact for powers of two, as a quotient of logarithms is not. */
function binaryLogarithm(value: number): number {
  let whole = 0;
  let mantissa = value;
  while (mantissa >= 2) {
    mantissa = mantissa / 2;
    whole = whole + 1;
  }
  return whole + Math.log(mantissa) / Math.log(2);
}

/** `io.weight` (1 to 10000) for a `blkio` weight (10 to 1000): the straight line between the ends, as runc does. */
export function ioWeightOfBlkio(weight: number): number {
  return 1 + Math.floor(((weight - 10) * 9_999) / 990);
}
